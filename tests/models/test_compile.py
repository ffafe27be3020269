"""Every model compiles into one graph, without a break, and computes the same.

In a process of its own, without the checks of annotations, through which a compiler does not see.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from capsnet import list_models
from capsnet.models import MODELS

ROOT = Path(__file__).parents[2]
EVERY_MODEL = """
import re
import torch
from capsnet import list_models
from capsnet.models import MODELS
from capsnet.models.factory import model_options, model_routing
from tests.models.test_models import make
compiled_by = {}
for name in list_models():
    torch.compiler.reset()
    torch.manual_seed(0)
    # dropout draws other numbers in another order
    # two iterations: each one after the first is as the second
    several = "iterations" in model_options(name) and (model_routing(name)[1] or 0) > 2
    options = {"image_shape": (1, 36, 36), "num_classes": 3, **({"iterations": 2} if several else {})}
    model, images = make(name, **options).eval(), torch.rand(2, 1, 36, 36)
    # models of a class whose layers are of the same classes, with parameters of the same names
    layers = frozenset(type(layer) for layer in model.modules())
    parameters = frozenset(re.sub(r"[0-9]+", "", name) for name, _ in model.named_parameters())
    if name != compiled_by.setdefault((MODELS.get(name).build, layers, parameters), name):
        continue
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    results = []
    for function in (model, compiled):
        output = function(images)
        model.zero_grad()
        output.lengths[:, 0].sum().backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        results.append([output.lengths, output.capsules.poses, *gradients])
    results = [[tensor for tensor in tensors if tensor.numel()] for tensors in results]
    largest = max(tensor.abs().max() for tensor in results[0])
    for eager, traced in zip(*results, strict=True):
        # fused kernels add in another order: relative to each tensor's own size, and to rounding of the largest one
        allowed = 1e-3 * eager.abs().max() + 1e-6 * largest
        assert (traced - eager).abs().max() <= allowed, (name, float((traced - eager).abs().max()), float(allowed))
print(*compiled_by.values())
"""
MACHINE_CODE = """
import torch, capsnet
options = {"stem_channels": 8, "num_types": 1, "decoder": False, "iterations": 2}
model = capsnet.create_model("capsnet-tiny", image_shape=(1, 20, 20), **options).eval()
images = torch.rand(2, 1, 20, 20)
with torch.inference_mode():
    expected, output = model(images), torch.compile(model, fullgraph=True)(images)
torch.testing.assert_close(output.lengths, expected.lengths)
print("capsnet-tiny")
"""


def run(script):
    # without a pool of processes that compile
    environment = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, env=environment)


def test_every_model_is_one_graph():
    done = run(EVERY_MODEL)
    assert done.returncode == 0, done.stderr
    tried = done.stdout.split()
    assert {MODELS.get(name).build for name in tried} == {MODELS.get(name).build for name in list_models()}


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_code_computes_the_same():
    done = run(MACHINE_CODE)
    assert done.returncode == 0, done.stderr

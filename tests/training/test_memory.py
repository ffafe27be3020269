import json
import re
import subprocess
import sys

import pytest
import torch

from capsnet.errors import UserError
from capsnet.models import create_model
from capsnet.runs.weights import on_meta
from capsnet.training import device as devices
from capsnet.training.device import check_memory
from capsnet.training.memory import memory_bound, parameter_memory, step_memory

CPU = torch.device("cpu")

# a process of its own has no older peak; the first, small step loads what libraries take for themselves
_SCRIPT = """
import json, sys
from capsnet.start import return_memory
return_memory()
import torch
from capsnet.bench.memory import peak_of
from capsnet.models import create_model
from capsnet.runs.weights import on_meta
from capsnet.runs import RunConfig
from capsnet.data import ImageData
from capsnet.data.inputs import Inputs
from capsnet.training.batches import Batches
from capsnet.training.memory import step_memory
from capsnet.training.step import Step
name, batch, options = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
def train(count):
    model = create_model(name, **options)
    images = torch.zeros(count, *model.input_shape, dtype=torch.uint8)
    classes = len(model.class_names)
    data = ImageData(images, torch.arange(count) % classes, model.class_names)
    weight = 0.0 if model.decoder is None else 0.0005
    config = RunConfig.from_defaults(batch_size=count, recon_weight=weight)
    step = Step(model, Batches(data, Inputs(data.image_shape), []), config, "fp32")
    for _ in range(2):
        step(torch.arange(count), {}, 1e-4)
train(2)
measured = peak_of(lambda: train(batch), torch.device("cpu")) * 2**20
with on_meta():
    model = create_model(name, **options)
print(json.dumps([measured, step_memory(model, batch, torch.device("cpu"))]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
@pytest.mark.parametrize(
    ("name", "batch", "options"),
    [
        # dynamic routing is fused, self-routing and inverted dot product are plain
        ("capsnet-tiny", 32, {"image_shape": [3, 64, 64], "num_classes": 68}),
        ("self-routing-capsnet", 32, {"image_shape": [3, 32, 32]}),
        ("attention-capsnet-small", 64, {}),
    ],
)
def test_estimate_is_within_a_factor_of_two_of_what_a_process_holds(name, batch, options):
    command = [sys.executable, "-c", _SCRIPT, name, str(batch), json.dumps(options)]
    measured, estimate = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert 0.5 < estimate / measured < 2


def meta(name, **options):
    with on_meta():
        return create_model(name, **options)


def test_votes_that_fused_routing_never_stores_do_not_count():
    model = meta("capsnet-tiny", image_shape=(3, 64, 64), num_classes=68)
    votes = 12 * 128 * 68 * 16 * sum(layer.num_children for layer in model.modules() if hasattr(layer, "num_children"))
    assert step_memory(model, 128, CPU) < votes / 2


@pytest.mark.parametrize("name", ["capsnet-tiny", "self-routing-capsnet", "attention-capsnet-small"])
def test_bound_is_above_what_is_measured(name):
    model = meta(name)
    assert memory_bound(model, 64) > step_memory(model, 64, CPU)


def test_weights_that_do_not_fit_are_refused_without_a_step(monkeypatch):
    model = meta("capsnet-tiny")
    monkeypatch.setattr(devices, "available_memory", lambda device: parameter_memory(model) - 1)
    monkeypatch.setattr(devices, "step_memory", lambda *arguments: pytest.fail("a step was run"))
    with pytest.raises(UserError, match=r"GB are free: .* capsules vote for 10 classes, .*image_size"):
        check_memory(model, 16, CPU)


def test_batch_that_does_not_fit_is_refused(monkeypatch):
    model = meta("capsnet-tiny")
    needed = step_memory(model, 32, CPU)
    monkeypatch.setattr(devices, "available_memory", lambda device: int(0.9 * needed))
    with pytest.raises(UserError, match=r"for a batch of 32 images; at most \d+ fit: use that batch_size") as fault:
        check_memory(model, 32, CPU)
    fitting = int(re.search(r"at most (\d+) fit", str(fault.value))[1])
    assert 1 < fitting < 32
    assert step_memory(model, fitting, CPU) <= 0.9 * needed
    monkeypatch.setattr(devices, "available_memory", lambda device: int(1.2 * needed))
    check_memory(model, 32, CPU)


def test_measuring_leaves_the_model_and_the_random_numbers_as_they_are():
    model, state = meta("capsnet-tiny"), torch.get_rng_state()
    step_memory(model, 16, CPU)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert torch.get_rng_state().equal(state)

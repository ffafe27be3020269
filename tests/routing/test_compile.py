"""Eager equals torch.compile, for every registered routing.

In a process of its own, without the checks of annotations, through which a compiler does not see.
"""

import subprocess
import sys

SCRIPT = """
import torch
from capsnet.routing import ROUTINGS
for name in ROUTINGS:
    torch.manual_seed(0)
    routing = ROUTINGS.get(name)(7, 3, parent_dim=4)
    votes, activations = torch.randn(2, 7, 3, 4, requires_grad=True), torch.rand(2, 7)
    compiled = torch.compile(routing, backend="aot_eager", fullgraph=True)
    results = []
    for function in (routing, compiled):
        out = function(votes, activations)
        gradient, = torch.autograd.grad(out.poses.square().sum(), votes)
        results.append((*out, gradient))
    for eager, traced in zip(*results, strict=True):
        torch.testing.assert_close(traced, eager)
    print(name)
"""


def test_eager_equals_compiled():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "dynamic" in done.stdout.split()

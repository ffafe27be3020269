"""Eager equals torch.compile, for every registered routing.

In a process of its own, without the checks of annotations, through which a compiler does not see.
"""

import subprocess
import sys

from capsnet.routing import ROUTINGS

SCRIPT = """
import inspect
import torch
from capsnet.capsules import Capsules
from capsnet.routing import ROUTINGS, make_routing
# one compilation for each routing: any number of routings stays below torch's own limit of eight
torch._dynamo.config.recompile_limit = 1
for name in ROUTINGS:
    torch.compiler.reset()
    torch.manual_seed(0)
    # a step more than the first: each is as the second
    fewer = {"iterations": 2} if "iterations" in inspect.signature(ROUTINGS.get(name)).parameters else {}
    routing = make_routing(name, 7, 3, child_dim=5, parent_dim=4, options=fewer)
    votes, children = torch.randn(2, 7, 3, 4, requires_grad=True), Capsules(torch.randn(2, 7, 5), torch.rand(2, 7))
    compiled = torch.compile(routing, backend="aot_eager", fullgraph=True)
    results = []
    for function in (routing, compiled):
        out = function(votes, children.activations, poses=children.poses)
        gradient, = torch.autograd.grad(out.poses.square().sum(), votes)
        results.append((*out[:3], gradient))
    for eager, traced in zip(*results, strict=True):
        torch.testing.assert_close(traced, eager)
    print(name)
"""


def test_eager_equals_compiled():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ROUTINGS.names()

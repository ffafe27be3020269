"""The operators behind the fused routing, as torch sees them."""

import subprocess
import sys

import pytest
import torch

from capsnet.errors import UserError
from capsnet.kernels.dynamic_routing import dynamic_routing, op


def tensors(b=2, i=3, c=2, j=2, d=4, *, device="cpu", dtype=torch.float64, requires_grad=True):
    draw = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=draw, dtype=dtype).to(device).requires_grad_(requires_grad)
        for shape in [(b, i, c), (i, c, j, d), (j, d)]
    ]


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("iterations", [1, 3])
def test_forward_passes_opcheck(full, iterations, device):
    torch.library.opcheck(op.forward, (*tensors(device=device), iterations, False, full))


def test_forward_passes_opcheck_without_bias(device):
    poses, weight, _ = tensors(device=device, dtype=torch.float32)
    torch.library.opcheck(op.forward, (poses, weight, None, 2, True, True))


def test_backward_passes_opcheck(device):
    poses, weight, bias = tensors(device=device, requires_grad=False)
    parents, coupling, totals = op.forward(poses, weight, bias, 3, False, True)
    for grad_coupling in (None, coupling):
        torch.library.opcheck(op.backward, (poses, weight, totals, parents, grad_coupling, False, True))


@pytest.mark.parametrize("leaky", [True, False])
@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_gradcheck_with_the_full_gradient(iterations, leaky, device):
    def routed(poses, weight, bias):
        return dynamic_routing(poses, weight, iterations, bias=bias, leaky=leaky)

    # at one iteration the coupling is a constant, and gradcheck wants differentiable outputs
    outputs = slice(0, 2 if iterations == 1 else 3)
    assert torch.autograd.gradcheck(lambda *t: tuple(routed(*t))[outputs], tensors(device=device), fast_mode=True)


def test_the_last_gradient_treats_the_coupling_as_a_constant(device):
    poses, weight, bias = tensors(device=device)
    out = dynamic_routing(poses, weight, bias=bias, gradient="last")
    assert not out.coupling.requires_grad
    found = torch.autograd.grad(out.poses.sum(), (poses, weight))
    votes = torch.einsum("bic,icjd->bijd", poses, weight)
    total = torch.einsum("bij,bijd->bjd", out.coupling, votes) + bias
    square = total.square().sum(-1, keepdim=True)
    wanted = torch.autograd.grad((total * square.sqrt() / (1 + square)).sum(), (poses, weight))
    torch.testing.assert_close(found, wanted)


def test_a_second_derivative_names_the_remedy(device):
    poses, weight, _ = tensors(device=device)
    (grad,) = torch.autograd.grad(dynamic_routing(poses, weight).poses.sum(), poses, create_graph=True)
    with pytest.raises(UserError, match=r"use\('plain'\)"):
        grad.sum().backward()


def test_gradients_ignore_an_output_that_nobody_reads():
    poses, weight, _ = tensors()
    (grad,) = torch.autograd.grad(dynamic_routing(poses, weight).coupling.square().sum(), poses)
    assert grad.abs().sum() > 0


def test_export_sees_one_node():
    class Route(torch.nn.Module):
        def forward(self, poses, weight):
            return dynamic_routing(poses, weight).poses

    program = torch.export.export(Route(), tuple(tensors(requires_grad=False)[:2]))
    targets = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert targets.count(torch.ops.capsnet.dynamic_routing.default) == 1


COMPILED = """
import torch
from capsnet.kernels.dynamic_routing import dynamic_routing
from capsnet import kernels

def step(poses, weight, bias):
    assert kernels.fused("dynamic_routing", poses, weight, bias=bias) is not None
    return dynamic_routing(poses * 2, weight, bias=bias).poses.square().sum()

tensors = [torch.randn(shape, requires_grad=True) for shape in [(17, 3, 2), (3, 2, 2, 4), (2, 4)]]
compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
found, wanted = (torch.autograd.grad(kind(*tensors), tensors) for kind in (compiled, step))
torch.testing.assert_close(found, wanted)
with torch.no_grad():
    few = torch.compile(lambda p, w: kernels.fused("dynamic_routing", p, w) is None, fullgraph=True, backend="eager")
    assert few(torch.ones(2, 3, 2).double(), tensors[1].double())
"""


def test_compiled_is_eager_forward_and_backward():
    # in a process without the run-time type checks of the tests, which torch.compile cannot trace
    subprocess.run([sys.executable, "-c", COMPILED], check=True)


def test_samples_are_independent(device):
    poses, weight, bias = tensors(b=7, device=device, dtype=torch.float32)
    together = dynamic_routing(poses, weight, bias=bias).poses
    alone = torch.cat([dynamic_routing(p[None], weight, bias=bias).poses for p in poses])
    torch.testing.assert_close(together, alone)


def test_autocast_of_the_caller_changes_nothing(device):
    tensors = [torch.randn(16, 3, 2, device=device), torch.randn(3, 2, 4, 5, device=device)]
    found = []
    for enabled in (False, True):
        leaves = [tensor.clone().requires_grad_() for tensor in tensors]
        with torch.autocast(device, torch.bfloat16, enabled=enabled):
            out = dynamic_routing(*leaves)
            found.append([out.poses, *torch.autograd.grad(out.poses.sum(), leaves)])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))

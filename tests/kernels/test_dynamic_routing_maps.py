import pytest
import torch

from capsnet import kernels
from capsnet.errors import UserError
from capsnet.kernels.dynamic_routing_maps import dynamic_routing_maps, refuses
from capsnet.routing import DynamicRouting
from capsnet.routing import dynamic as plain


def draw(*shape, scale=1.0, dtype=torch.float64):
    return (scale * torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)).requires_grad_()


def results(function, votes, bias, iterations):
    poses = function(votes, iterations, bias=bias)
    weights = torch.linspace(-1, 2, poses.numel(), dtype=poses.dtype).view(poses.shape)
    return [poses, *torch.autograd.grad((weights * poses).sum(), [votes] if bias is None else [votes, bias])]


@pytest.mark.parametrize("shape", [(2, 3, 4, 5, 7), (1, 1, 1, 1, 1), (1, 2, 1, 3, 63), (2, 1, 10, 8, 1)])
@pytest.mark.parametrize("iterations", [1, 2, 4])
def test_values_and_gradients_equal_the_plain_function(shape, iterations):
    votes, bias = draw(*shape), draw(*shape[2:4])
    for fused, expected in zip(
        *(results(f, votes, bias, iterations) for f in (dynamic_routing_maps, plain.dynamic_routing_maps)), strict=True
    ):
        torch.testing.assert_close(fused, expected)


@pytest.mark.parametrize("scale", [0.0, 1e-8, 1e4, 1e18])
def test_short_and_long_votes_have_the_plain_gradients(scale):
    votes = draw(1, 2, 3, 4, 5, scale=scale, dtype=torch.float32)
    for fused, expected in zip(
        *(results(f, votes, None, 3) for f in (dynamic_routing_maps, plain.dynamic_routing_maps)), strict=True
    ):
        assert fused.isfinite().all()
        torch.testing.assert_close(fused, expected)


def test_gradients_are_correct():
    votes, bias = draw(1, 2, 3, 2, 2), draw(3, 2)
    assert torch.autograd.gradcheck(lambda votes, bias: dynamic_routing_maps(votes, 3, bias=bias), (votes, bias))


def test_a_routing_takes_the_kernel_where_it_can(monkeypatch):
    routing, calls, forward = DynamicRouting(2, 3, parent_dim=4), [], DynamicRouting.forward
    monkeypatch.setattr(
        DynamicRouting, "forward", lambda self, votes: calls.append(votes.shape) or forward(self, votes)
    )
    votes = torch.randn(2, 2, 3, 4, 5)
    fused = routing.route_maps(votes)
    assert not calls
    with kernels.use("plain"):
        for one, other in zip(routing.route_maps(votes), fused, strict=True):
            torch.testing.assert_close(one, other)
    assert calls == [(10, 2, 3, 4)]


@pytest.mark.parametrize(
    ("votes", "options", "reason"),
    [
        (torch.zeros(1, 2, 3, 4, 5), {"leaky": True}, "neither leaky"),
        (torch.zeros(1, 2, 3, 4, 5, dtype=torch.bfloat16), {}, "does not support torch.bfloat16"),
        (torch.zeros(1, 2, 3, 4, 0), {}, "is empty"),
        (torch.zeros(1, 2, 3, 4, 5, device="meta"), {}, "for CPUs"),
    ],
)
def test_other_calls_are_refused(votes, options, reason):
    assert reason in refuses(votes, 3, **options)


def test_a_second_derivative_names_the_remedy():
    votes = draw(1, 2, 3, 4, 5)
    (gradient,) = torch.autograd.grad(dynamic_routing_maps(votes).sum(), votes, create_graph=True)
    with pytest.raises(UserError, match="fused dynamic routing of maps has no second derivative"):
        gradient.square().sum().backward()

"""What the contract asks of any routing, registered or not."""

import copy
import inspect
from collections.abc import Callable

import pytest
import torch

from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.functional import dense_votes
from capsnet.routing import Routing

B, I, J, C, D = 2, 5, 3, 4, 6  # noqa: E741
Build = Callable[..., Routing]


def child_dim(build: Build) -> dict[str, int]:
    """The dimension of a child, for a routing that reads the children's poses."""
    return {"child_dim": C} if "child_dim" in inspect.signature(build).parameters else {}


def route(routing: Routing, votes, children):
    return routing(votes, children.activations, poses=children.poses)


def make(build: Build, dtype=torch.float32, children=I, parents=J, dim=D) -> Routing:
    """A routing whose own parameters are not at their start, so that no symmetry is left in them."""
    torch.manual_seed(1)
    routing = build(children, parents, parent_dim=dim, dtype=dtype, **child_dim(build))
    with torch.no_grad():
        for parameter in routing.parameters():
            parameter += torch.randn_like(parameter) / 4
    return routing


def sample(batch=B, children=I, parents=J, dim=D, dtype=torch.float32, scale=1.0):
    votes = torch.randn(batch, children, parents, dim, dtype=dtype) * scale
    return votes, Capsules(torch.randn(batch, children, C, dtype=dtype), torch.rand(batch, children, dtype=dtype))


def permute(routing: Routing, size: int, order: torch.Tensor) -> Routing:
    """The same routing with its own parameters for the children or parents in another order: the axes of `size`."""
    moved = copy.deepcopy(routing)
    for tensor in [*moved.parameters(), *moved.buffers()]:
        for axis, length in enumerate(tensor.shape):
            if length == size:
                tensor.data = tensor.data.index_select(axis, order)
    return moved


def keep_children(routing: Routing, number: int) -> Routing:
    """The same routing of the first children only: the axes of `I`."""
    fewer = copy.deepcopy(routing)
    for tensor in [*fewer.parameters(), *fewer.buffers()]:
        for axis, length in enumerate(tensor.shape):
            if length == I:
                tensor.data = tensor.data.narrow(axis, 0, number)
    return fewer


def check_shapes(build: Build) -> None:
    out = route(make(build), *sample())
    assert out.poses.shape == (B, J, D)
    assert out.activations.shape == (B, J)
    assert out.coupling is not None
    assert out.coupling.shape == (B, I, J)
    assert out.activations.min() >= 0
    assert out.activations.max() <= 1


def check_finite(build: Build, scale: float) -> None:
    routing, (votes, children) = make(build), sample(scale=scale)
    votes.requires_grad_()
    out = route(routing, votes, children)
    (out.poses.sum() + out.activations.sum()).backward()
    gradients = [parameter.grad for parameter in routing.parameters() if parameter.grad is not None]
    for tensor in (*out[:3], votes.grad, *gradients):
        assert tensor.isfinite().all()


def check_gradient(build: Build) -> None:
    routing = make(build, torch.float64, children=3, parents=2, dim=4)
    votes, (poses, activations, *_) = sample(2, 3, 2, 4, torch.float64)
    inputs = [x.requires_grad_() for x in (votes, poses, activations)]
    assert torch.autograd.gradcheck(lambda v, p, a: route(routing, v, Capsules(p, a))[:2], inputs)


def check_coupling(build: Build) -> None:
    routing = make(build)
    routing_at_start = build(I, J, parent_dim=D, **child_dim(build))
    votes, children = sample(scale=3.0)
    total = route(routing_at_start, votes, children).coupling.sum(dim=2)
    if routing.coupling_axis == "j":
        torch.testing.assert_close(total, torch.ones(B, I))
    else:
        assert routing.coupling_axis is None
        assert not torch.allclose(total, torch.ones(B, I)), "it declares that its coupling is no distribution"


def check_order(build: Build, axis: str) -> None:
    """The result follows the order of parents, and does not depend on that of children."""
    routing, (votes, children) = make(build).eval(), sample()
    expected = route(routing, votes, children)
    if axis == "parents":
        order = torch.tensor([2, 0, 1])
        got = route(permute(routing, J, order), votes[:, :, order], children)
        torch.testing.assert_close(got.poses, expected.poses[:, order])
        torch.testing.assert_close(got.activations, expected.activations[:, order])
        return
    order = torch.tensor([3, 0, 4, 1, 2])
    moved = Capsules(children.poses[:, order], children.activations[:, order])
    got = route(permute(routing, I, order), votes[:, order], moved)
    torch.testing.assert_close(got.poses, expected.poses, atol=1e-5, rtol=1e-5)


def check_samples(build: Build) -> None:
    routing, (votes, children) = make(build), sample(4)

    def alone():
        rows = [slice(k, k + 1) for k in range(4)]
        parts = [route(routing, votes[k], Capsules(*(x[k] for x in children[:2]))).poses for k in rows]
        return torch.cat(parts)

    # batch normalisation: in training it mixes samples, and keeps statistics in buffers for evaluation
    if list(routing.buffers()):
        assert not torch.allclose(route(routing, votes, children).poses, alone()), "it does not use its buffers"
        routing.eval()
    torch.testing.assert_close(route(routing, votes, children).poses, alone())


def check_children(build: Build) -> None:
    routing, weight, (_, children) = make(build).eval(), torch.randn(I, C, J, D), sample()
    expected = route(routing, dense_votes(children.poses, weight), children)
    for got, wanted in zip(routing.route_children(children, weight)[:3], expected[:3], strict=True):
        torch.testing.assert_close(got, wanted)


def check_mask(build: Build) -> None:
    """Padding, NaN here, changes neither the parents nor the gradients of the children that are there."""
    routing, weight, (_, real) = make(build).eval(), torch.randn(I, C, J, D), sample()
    if not routing.masks:
        with pytest.raises(UserError, match="cannot have a mask"):
            routing.route_children(real._replace(mask=torch.ones(B, I, dtype=torch.bool)), weight)
        return
    there = torch.arange(I) < I - 2
    mask = torch.stack([there, torch.zeros_like(there)])
    results = []
    for filler in (0.0, torch.nan, 1e9):
        poses = real.poses.masked_fill(~there[:, None], filler).requires_grad_()
        activations = real.activations.masked_fill(~there, filler).requires_grad_()
        out = routing.route_children(Capsules(poses, activations, mask=mask), weight)
        inputs = [poses, activations, *routing.parameters()]
        total = out.poses.square().sum() + out.activations.sum()
        gradients = torch.autograd.grad(total, inputs, allow_unused=True)
        results.append([*out[:3], *(gradient for gradient in gradients if gradient is not None)])
    for zeros, nan, garbage in zip(*results, strict=True):
        assert zeros.isfinite().all()
        torch.testing.assert_close(nan, zeros, rtol=0, atol=0)
        torch.testing.assert_close(garbage, zeros, rtol=0, atol=0)
    poses, activations, coupling = results[0][:3]
    assert poses[1].count_nonzero() == activations[1].count_nonzero() == coupling[:, I - 2 :].count_nonzero() == 0
    few = keep_children(routing, I - 2)
    alone = few.route_children(Capsules(real.poses[:1, : I - 2], real.activations[:1, : I - 2]), weight[: I - 2])
    torch.testing.assert_close(poses[:1], alone.poses)
    torch.testing.assert_close(activations[:1], alone.activations)
    torch.testing.assert_close(coupling[:1, : I - 2], alone.coupling)


def check_parent_mask(build: Build) -> None:
    """Each sample is routed as by the same routing of its own parents alone, without a mask; gradients too."""
    routing, (_, children) = make(build, torch.float64).eval(), sample(3, dtype=torch.float64)
    weight = torch.randn(I, C, J, D, dtype=torch.float64, requires_grad=True)
    parent_mask = torch.tensor([[True, False, True], [False, False, True], [True, True, True]])
    if not routing.limits_parents:
        with pytest.raises(UserError, match="cannot limit a sample's parents"):
            routing.route_children_to(children, weight, parent_mask)
        return
    there = torch.arange(I) < torch.tensor([[I], [I - 2], [I]] if routing.masks else [[I]] * 3)
    poses, activations = (x.requires_grad_() for x in children[:2])
    inputs = [poses, activations, weight, *routing.parameters()]
    out = routing.route_children_to(Capsules(poses, activations, mask=there), weight, parent_mask)
    assert out.mask is not None
    assert out.mask.equal(parent_mask)
    assert out.coupling is not None

    total, expected = torch.zeros((), dtype=torch.float64), [torch.zeros_like(x) for x in out[:3]]
    for k in range(3):
        own = {I: there[k].nonzero()[:, 0], J: parent_mask[k].nonzero()[:, 0]}
        parameters = {name: keep(tensor, own) for name, tensor in routing.state_dict(keep_vars=True).items()}
        few = keep(poses[k : k + 1], {I: own[I]})
        votes, given = dense_votes(few, keep(weight, own)), keep(activations[k : k + 1], {I: own[I]})
        alone = torch.func.functional_call(routing, parameters, (votes, given), {"poses": few})
        total = total + alone.poses.square().sum() + alone.activations.sum()
        expected[0][k, own[J]], expected[1][k, own[J]] = alone.poses[0].detach(), alone.activations[0].detach()
        expected[2][k, own[I][:, None], own[J]] = alone.coupling[0].detach()
    for got, wanted in zip(out[:3], expected, strict=True):
        torch.testing.assert_close(got.detach(), wanted)
    masked = torch.autograd.grad(out.poses.square().sum() + out.activations.sum(), inputs, allow_unused=True)
    for got, wanted in zip(masked, torch.autograd.grad(total, inputs, allow_unused=True), strict=True):
        assert (got is None) == (wanted is None)
        if got is not None:
            torch.testing.assert_close(got, wanted)


def keep(tensor: torch.Tensor, own: dict[int, torch.Tensor]) -> torch.Tensor:
    """The children and parents given, of a tensor whose axes of `I` and `J` are children and parents."""
    for axis, length in enumerate(tensor.shape):
        if length in own:
            tensor = tensor.index_select(axis, own[length])
    return tensor


def check_no_parents(build: Build) -> None:
    """A sample without any parent has outputs and gradients of zero."""
    routing, weight, (_, children) = make(build), torch.randn(I, C, J, D, requires_grad=True), sample()
    if not routing.limits_parents:
        return
    poses, activations = (x.requires_grad_() for x in children[:2])
    inputs = [poses, activations, weight, *routing.parameters()]
    out = routing.route_children_to(Capsules(poses, activations), weight, torch.zeros(B, J, dtype=torch.bool))
    gradients = torch.autograd.grad(out.poses.sum() + out.activations.sum(), inputs, allow_unused=True)
    for tensor in (*out[:3], *gradients):
        assert tensor is None or tensor.eq(0).all()


def check_saved(build: Build) -> None:
    routing, other = make(build).eval(), make(build).eval()
    with torch.no_grad():
        for parameter in routing.parameters():
            parameter.normal_()
    other.load_state_dict(copy.deepcopy(routing.state_dict()))
    votes, children = sample()
    expected = route(routing, votes, children).poses
    torch.testing.assert_close(route(other, votes, children).poses, expected, rtol=0, atol=0)


def check_bf16(build: Build) -> None:
    # what both precisions can represent: the routing's own error is the question, not the input's
    routing, (votes, children) = make(build).bfloat16(), sample()
    votes, children = votes.bfloat16(), Capsules(*(x.bfloat16() for x in children[:2]))
    narrow = route(routing, votes, children)
    wide = route(routing.float(), votes.float(), Capsules(*(x.float() for x in children[:2])))
    assert narrow.poses.dtype == torch.bfloat16
    # a bf16 number has 8 bits, and a routing adds up a handful of rounded sums
    assert (narrow.poses.float() - wide.poses).abs().max() < 8 * 2**-8
    assert (narrow.activations.float() - wide.activations).abs().max() < 8 * 2**-8


CHECKS = {
    "shapes": check_shapes,
    "finite at zero": lambda build: check_finite(build, 0.0),
    "finite at 1e-8": lambda build: check_finite(build, 1e-8),
    "finite at 1": lambda build: check_finite(build, 1.0),
    "finite at 1e4": lambda build: check_finite(build, 1e4),
    "gradient": check_gradient,
    "coupling": check_coupling,
    "order of parents": lambda build: check_order(build, "parents"),
    "order of children": lambda build: check_order(build, "children"),
    "samples are independent": check_samples,
    "children then votes": check_children,
    "padding does not vote": check_mask,
    "parents limited per sample": check_parent_mask,
    "sample without parents": check_no_parents,
    "saved equals loaded": check_saved,
    "bf16 near float32": check_bf16,
}

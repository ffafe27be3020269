"""One contract for every registered routing."""

import copy

import pytest
import torch

from capsnet.capsules import Capsules
from capsnet.functional import dense_votes
from capsnet.routing import ROUTINGS

B, I, J, C, D = 2, 5, 3, 4, 6  # noqa: E741
routings = pytest.mark.parametrize("name", ROUTINGS.names())


def make(name, dtype=torch.float32, children=I, parents=J, dim=D):
    torch.manual_seed(1)
    return ROUTINGS.get(name)(children, parents, parent_dim=dim, dtype=dtype)


@routings
def test_shapes(name):
    out = make(name)(torch.randn(B, I, J, D), torch.rand(B, I))
    assert out.poses.shape == (B, J, D)
    assert out.activations.shape == (B, J)
    assert out.coupling.shape == (B, I, J)


@routings
@pytest.mark.parametrize("scale", [0.0, 1e-8, 1.0, 1e4])
def test_value_and_gradient_are_finite(name, scale):
    votes = (torch.randn(B, I, J, D) * scale).requires_grad_()
    out = make(name)(votes, torch.rand(B, I))
    (out.poses.sum() + out.activations.sum()).backward()
    for tensor in (*out, votes.grad):
        assert tensor.isfinite().all()


@routings
def test_gradcheck(name):
    routing = make(name, torch.float64, children=3, parents=2, dim=4)
    votes = torch.randn(2, 3, 2, 4, dtype=torch.float64, requires_grad=True)
    activations = torch.rand(2, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: routing(v, activations)[:2], (votes,))


@routings
def test_coupling_sums_to_one_over_parents(name):
    routing = make(name)
    if routing.coupling_axis is None:
        pytest.skip(f"{name} declares that its coupling is no distribution")
    total = routing(torch.randn(B, I, J, D) * 3, torch.rand(B, I)).coupling.sum(dim=2)
    torch.testing.assert_close(total, torch.ones(B, I))


@routings
def test_order_of_parents_does_not_matter(name):
    votes, activations, order = torch.randn(B, I, J, D), torch.rand(B, I), torch.tensor([2, 0, 1])
    routing = make(name)
    if list(routing.parameters()):
        pytest.skip(f"{name} learns parameters of its own for each parent")
    torch.testing.assert_close(
        routing(votes[:, :, order], activations).poses, routing(votes, activations).poses[:, order]
    )


@routings
def test_order_of_children_does_not_matter(name):
    routing = make(name)
    if routing.orders_children:
        pytest.skip(f"{name} declares that its children have an order")
    votes, activations, order = torch.randn(B, I, J, D), torch.rand(B, I), torch.randperm(I)
    torch.testing.assert_close(routing(votes[:, order], activations[:, order]).poses, routing(votes, activations).poses)


@routings
def test_samples_are_independent(name):
    routing, votes, activations = make(name), torch.randn(4, I, J, D), torch.rand(4, I)
    alone = torch.cat([routing(votes[k : k + 1], activations[k : k + 1]).poses for k in range(4)])
    torch.testing.assert_close(routing(votes, activations).poses, alone)


@routings
def test_route_children_equals_votes_then_forward(name):
    routing, weight = make(name), torch.randn(I, C, J, D)
    children = Capsules(torch.randn(B, I, C), torch.rand(B, I))
    expected = routing(dense_votes(children.poses, weight), children.activations)
    for got, wanted in zip(routing.route_children(children, weight), expected, strict=True):
        torch.testing.assert_close(got, wanted)


@routings
def test_saved_equals_loaded(name):
    routing, other = make(name), make(name)
    with torch.no_grad():
        for parameter in routing.parameters():
            parameter.normal_()
    other.load_state_dict(copy.deepcopy(routing.state_dict()))
    votes, activations = torch.randn(B, I, J, D), torch.rand(B, I)
    torch.testing.assert_close(other(votes, activations).poses, routing(votes, activations).poses, rtol=0, atol=0)


@routings
def test_bf16_is_near_float32(name):
    routing, votes, activations = make(name), torch.randn(B, I, J, D), torch.rand(B, I)
    wide, narrow = (
        routing(votes, activations).poses,
        make(name, torch.bfloat16)(votes.bfloat16(), activations.bfloat16()),
    )
    # a bf16 number has 8 bits, and a routing adds up a handful of rounded sums
    assert (narrow.poses.float() - wide).abs().max() < 8 * 2**-8


@routings
def test_options_out_of_range_are_refused(name):
    with pytest.raises(TypeError):
        ROUTINGS.get(name)(I, J, parent_dim=D, no_such_option=1)

"""Facts of "Dynamic Routing Between Capsules" and of its authors' code."""

import math
from itertools import pairwise

import pytest
import torch

from capsnet.errors import UserError
from capsnet.functional import squash
from capsnet.routing import DynamicRouting, dynamic_routing


def literal_routing(votes, iterations, bias=None, leaky=False):
    """Procedure 1 for one sample, in loops over numbers."""
    children, parents, dim = votes.shape
    logits = [[0.0] * parents for _ in range(children)]
    for _ in range(iterations):
        poses, coupling = [], []
        for i in range(children):
            terms = [math.exp(b) for b in logits[i]]
            total = sum(terms) + (1.0 if leaky else 0.0)
            coupling.append([term / total for term in terms])
        for j in range(parents):
            s = [sum(coupling[i][j] * float(votes[i, j, d]) for i in range(children)) for d in range(dim)]
            if bias is not None:
                s = [x + float(bias[j, d]) for d, x in enumerate(s)]
            square = sum(x * x for x in s)
            poses.append([square / (1 + square) * x / math.sqrt(square) for x in s])
        for i in range(children):
            for j in range(parents):
                logits[i][j] += sum(float(votes[i, j, d]) * poses[j][d] for d in range(dim))
    return torch.tensor(poses, dtype=torch.float64), torch.tensor(coupling, dtype=torch.float64)


@pytest.mark.parametrize("iterations", [1, 2, 3, 5])
@pytest.mark.parametrize("leaky", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
def test_routing_equals_procedure_1_in_loops(iterations, leaky, with_bias):
    votes = torch.randn(3, 7, 4, 5, dtype=torch.float64)
    bias = torch.randn(4, 5, dtype=torch.float64) if with_bias else None
    out = dynamic_routing(votes, iterations, bias=bias, leaky=leaky)
    for sample in range(3):
        poses, coupling = literal_routing(votes[sample], iterations, bias, leaky)
        torch.testing.assert_close(out.poses[sample], poses)
        torch.testing.assert_close(out.coupling[sample], coupling)
        torch.testing.assert_close(out.activations[sample], poses.norm(dim=-1))


def test_one_iteration_is_the_squash_of_the_sum_over_children_divided_by_the_number_of_parents():
    votes = torch.randn(2, 9, 4, 5)
    torch.testing.assert_close(dynamic_routing(votes, 1).poses, squash(votes.sum(dim=1) / 4))


def test_coupling_is_over_parents_not_over_children():
    # one child votes far more strongly for the first parent: that changes its own row only
    votes = torch.zeros(1, 3, 2, 4)
    votes[0, 0, 0] = 5.0
    coupling = dynamic_routing(votes, 3).coupling[0]
    assert coupling[0, 0] > 0.99
    torch.testing.assert_close(coupling[1:], torch.full((2, 2), 0.5))


def test_identical_votes_give_their_direction():
    direction = torch.tensor([0.6, 0.0, 0.8, 0.0])
    poses = dynamic_routing(direction.expand(1, 20, 3, 4), 3).poses[0]
    torch.testing.assert_close(poses / poses.norm(dim=-1, keepdim=True), direction.expand(3, 4))


def test_a_lone_disagreeing_child_loses_coupling_with_each_iteration():
    votes = torch.ones(1, 10, 2, 4)
    votes[:, :, 1] = 0.0
    votes[:, 0, 0] = -1.0
    shares = [float(dynamic_routing(votes, r).coupling[0, 0, 0]) for r in (1, 2, 3, 4)]
    assert shares[0] == 0.5
    assert all(later < sooner for sooner, later in pairwise(shares))


def test_leaky_coupling_drops_the_share_of_no_parent():
    out = dynamic_routing(torch.zeros(1, 5, 3, 4), 3, leaky=True)
    torch.testing.assert_close(out.coupling, torch.full((1, 5, 3), 1 / 4))
    assert out.poses.shape == (1, 3, 4)


def test_gradient_last_takes_the_coupling_as_a_constant():
    votes = torch.randn(2, 6, 3, 4, dtype=torch.float64, requires_grad=True)
    cotangent = torch.randn(2, 3, 4, dtype=torch.float64)
    out = dynamic_routing(votes, 3, gradient="last")
    expected = squash(torch.einsum("bij,bijd->bjd", out.coupling.detach(), votes))
    (got,) = torch.autograd.grad((out.poses * cotangent).sum(), votes)
    (wanted,) = torch.autograd.grad((expected * cotangent).sum(), votes)
    torch.testing.assert_close(got, wanted)


def test_gradient_full_goes_through_the_coupling():
    votes = torch.randn(2, 6, 3, 4, dtype=torch.float64, requires_grad=True)
    gradients = [
        torch.autograd.grad(dynamic_routing(votes, 3, gradient=mode).poses.sum(), votes)[0] for mode in ("full", "last")
    ]
    assert not torch.allclose(*gradients)


@pytest.mark.parametrize("options", [{}, {"leaky": True}, {"iterations": 1}, {"iterations": 4}])
def test_gradcheck_of_votes_and_bias(options):
    votes = torch.randn(2, 3, 2, 4, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v, b: dynamic_routing(v, bias=b, **options)[:2], (votes, bias))


def test_no_gradient_reaches_the_bias_twice_with_gradient_last():
    votes, bias = torch.randn(1, 4, 2, 3), torch.randn(2, 3, requires_grad=True)
    out = dynamic_routing(votes, 3, bias=bias, gradient="last")
    total = torch.einsum("bij,bijd->bjd", out.coupling.detach(), votes)
    (wanted,) = torch.autograd.grad(squash(total + bias).sum(), bias)
    (got,) = torch.autograd.grad(out.poses.sum(), bias)
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize(("options", "words"), [({"iterations": 0}, "at least 1"), ({"gradient": "none"}, "'full'")])
@pytest.mark.usefixtures("unchecked")
def test_bad_options_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        dynamic_routing(torch.zeros(1, 2, 2, 2), **options)
    with pytest.raises(UserError, match=words):
        DynamicRouting(2, 2, parent_dim=2, **options)

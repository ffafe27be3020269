"""Facts of "Capsules with Inverted Dot-Product Attention Routing"."""

import math

import pytest
import torch

from capsnet.errors import UserError
from capsnet.routing import InvertedDotProductRouting, inverted_dot_product_routing


def literal_routing(votes, iterations):
    """One sample, in loops over numbers."""
    children, parents, dim = votes.shape
    coupling = [[1 / parents] * parents for _ in range(children)]
    poses = []
    for step in range(iterations):
        if step:
            for i in range(children):
                terms = [
                    math.exp(sum(poses[j][d] * float(votes[i, j, d]) for d in range(dim)) / math.sqrt(dim))
                    for j in range(parents)
                ]
                coupling[i] = [term / sum(terms) for term in terms]
        poses = []
        for j in range(parents):
            s = [sum(coupling[i][j] * float(votes[i, j, d]) for i in range(children)) for d in range(dim)]
            mean = sum(s) / dim
            std = math.sqrt(sum((x - mean) ** 2 for x in s) / dim + 1e-5)
            poses.append([(x - mean) / std for x in s])
    return torch.tensor(poses, dtype=torch.float64), torch.tensor(coupling, dtype=torch.float64)


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_routing_equals_algorithm_1_in_loops(iterations):
    votes = torch.randn(2, 6, 4, 5, dtype=torch.float64)
    out = inverted_dot_product_routing(votes, iterations)
    for sample in range(2):
        poses, coupling = literal_routing(votes[sample], iterations)
        torch.testing.assert_close(out.poses[sample], poses)
        torch.testing.assert_close(out.coupling[sample], coupling)


def test_steps_from_given_parents_equal_all_iterations_at_once():
    votes, routing = torch.randn(2, 6, 4, 5), InvertedDotProductRouting(6, 4, parent_dim=5, iterations=3)
    poses = inverted_dot_product_routing(votes, 1, gain=routing.norm.weight, bias=routing.norm.bias).poses
    for _ in range(2):
        poses = routing.update(votes, poses).poses
    torch.testing.assert_close(poses, routing(votes).poses)


def test_parents_compete_for_a_child():
    # the second child points at the first parent's pose and away from the second's
    votes = torch.tensor([[[[1.0, -1.0], [1.0, -1.0]], [[3.0, -3.0], [-0.5, 0.5]]]])
    coupling = inverted_dot_product_routing(votes, 2).coupling[0]
    torch.testing.assert_close(coupling[0], torch.tensor([0.5, 0.5]), atol=1e-3, rtol=0)
    assert coupling[1, 0] > 0.95


def test_poses_are_layer_normalised_and_there_are_no_activations():
    out = inverted_dot_product_routing(torch.randn(2, 6, 4, 16) * 3)
    torch.testing.assert_close(out.poses.mean(dim=2), torch.zeros(2, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.poses.norm(dim=2), torch.full((2, 4), 4.0), atol=1e-3, rtol=0)
    assert out.activations.eq(1).all()


@pytest.mark.usefixtures("unchecked")
def test_activations_in_place_of_iterations_are_refused():
    with pytest.raises(UserError, match="iterations must be a whole number, got an array"):
        inverted_dot_product_routing(torch.randn(2, 6, 4, 16), torch.rand(2, 6))

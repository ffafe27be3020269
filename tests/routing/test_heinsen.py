"""Facts of "An Algorithm for Routing Vectors in Sequences", Algorithm 1."""

import math

import pytest
import torch

from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.functional import squash
from capsnet.layers import DenseCapsules
from capsnet.models import create_model
from capsnet.routing import HeinsenRouting, heinsen_routing

I, J, C, D = 4, 3, 5, 2  # noqa: E741


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def module(children=I, **options):
    routing = HeinsenRouting(children, J, child_dim=C, parent_dim=D, dtype=torch.float64, **options)
    for parameter in routing.parameters():
        torch.nn.init.normal_(parameter)
    return routing


def sample():
    return torch.randn(1, I, J, D, dtype=torch.float64), torch.randn(1, I, C, dtype=torch.float64)


def prices(routing, pose, i, j):
    """Benefit and cost of a pair, in loops."""
    if routing.num_children is not None:
        return routing.use[i, j].item(), routing.ignore[i, j].item()
    use, ignore = (
        sum(price.weight[j, c].item() * pose[c] for c in range(C)) + price.bias[j].item()
        for price in (routing.use, routing.ignore)
    )
    return use, ignore


def route_in_loops(routing, votes, poses):
    """Algorithm 1, line by line, for one sample; returns the parents before their normalisation."""
    rows = [i if routing.num_children is not None else 0 for i in range(I)]
    parents, coupling = None, [[1 / J] * J for _ in range(I)]
    for _ in range(routing.iterations):
        if parents is not None:
            predicted = []
            for j in range(J):
                mean = sum(parents[j]) / D
                deviation = math.sqrt(sum((x - mean) ** 2 for x in parents[j]) / D + 1e-5)
                normal = [(x - mean) / deviation for x in parents[j]]
                mapped = [sum(normal[d] * routing.predict_weight[d, c].item() for d in range(D)) for c in range(C)]
                predicted.append(
                    [
                        mapped[c] * routing.predict_scale[j, c].item() + routing.predict_bias[j, c].item()
                        for c in range(C)
                    ]
                )
            for i, row in enumerate(rows):
                exponentials = []
                for j in range(J):
                    product = sum(poses[i][c] * predicted[j][c] for c in range(C))
                    scale, bias = routing.similarity_scale[row, j].item(), routing.similarity_bias[row, j].item()
                    exponentials.append(math.exp(math.log(sigmoid(product * scale + bias))))
                coupling[i] = [x / sum(exponentials) for x in exponentials]
        parents = [[0.0] * D for _ in range(J)]
        for i, row in enumerate(rows):
            score = sum(routing.credit_weight[row, c].item() * poses[i][c] for c in range(C))
            credit = sigmoid(score + routing.credit_bias[row].item())
            for j in range(J):
                use, ignore = prices(routing, poses[i], i, j)
                used = credit * coupling[i][j]
                phi = use * used - ignore * (credit - used)
                for d in range(D):
                    parents[j][d] += phi * votes[i][j][d]
    return parents, coupling


@pytest.mark.parametrize("children", [I, None])
@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_routing_equals_the_equations_in_loops(children, iterations):
    routing, (votes, poses) = module(children, iterations=iterations, normalize=None), sample()
    out = routing(votes, poses=poses)
    parents, coupling = route_in_loops(routing, votes[0].tolist(), poses[0].tolist())
    torch.testing.assert_close(out.poses[0], torch.tensor(parents, dtype=torch.float64))
    torch.testing.assert_close(out.coupling[0], torch.tensor(coupling, dtype=torch.float64))


def test_parents_are_normalised_only_in_the_end():
    routing, (votes, poses) = module(iterations=3), sample()
    results = {}
    for routing.normalize in ("squash", "layer", None):
        results[routing.normalize] = routing(votes, poses=poses)
    raw = results[None].poses
    torch.testing.assert_close(results["squash"].poses, squash(raw))
    torch.testing.assert_close(results["squash"].activations, squash(raw).norm(dim=-1))
    torch.testing.assert_close(results["layer"].poses, torch.nn.functional.layer_norm(raw, (D,)))
    assert results["layer"].activations.eq(1).all()
    assert results[None].activations.eq(1).all()


def test_children_without_credit_are_neither_used_nor_ignored():
    (votes, _), price = sample(), torch.randn(I, J, dtype=torch.float64)
    credit = torch.tensor([[0.0, 0.3, 0.0, 0.9]], dtype=torch.float64)

    def similarity(parents):
        return torch.einsum("bijd,bjd->bij", votes, parents)

    expected = heinsen_routing(votes, credit, price, -price, similarity).poses
    votes = votes.masked_fill((credit == 0)[..., None, None], 7.0)
    torch.testing.assert_close(heinsen_routing(votes, credit, price, -price, similarity).poses, expected)


def test_a_fully_used_child_costs_nothing():
    votes, credit, ones = torch.randn(1, I, 1, D), torch.rand(1, I), torch.ones(I, 1)
    out = heinsen_routing(votes, credit, ones, 1e3 * ones, lambda parents: votes.sum(dim=3), normalize=None)
    torch.testing.assert_close(out.poses, torch.einsum("bi,bijd->bjd", credit, votes))


@pytest.mark.parametrize("parents", [2, 10])
def test_parents_start_as_long_as_a_child(parents):
    options = {"routing": "heinsen", "routing_options": {"iterations": 1, "normalize": None}}
    layer = DenseCapsules(400, parents, child_dim=8, parent_dim=16, **options)
    children = torch.nn.functional.normalize(torch.randn(50, 400, 8), dim=-1)
    length = layer(Capsules(children, torch.ones(50, 400))).poses.square().sum(dim=-1).mean().sqrt()
    # half of 2 / hypot(1, J - 1) is for a credit of 1/2; the mean square of a random credit is a little more
    assert 0.8 < length < 1.4


def test_any_number_of_children_shares_all_parameters():
    routing = module(None)
    votes, poses = sample()
    assert not [parameter for parameter in routing.parameters() if I in parameter.shape]
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(routing(votes[:, order], poses=poses[:, order]).poses, routing(votes, poses=poses).poses)


def test_normalisation_without_lengths_is_refused_where_lengths_are_scores():
    options = {"image_shape": (1, 17, 17), "num_classes": 3, "routing": "heinsen"}
    with pytest.raises(UserError, match="computes no activations"):
        create_model("capsnet-tiny", routing_options={"normalize": "layer"}, **options)


@pytest.mark.usefixtures("unchecked")
def test_unknown_normalisation_and_missing_poses_are_refused():
    with pytest.raises(UserError, match="normalize must be 'squash', 'layer' or None, got 'batch'"):
        HeinsenRouting(I, J, child_dim=C, parent_dim=D, normalize="batch")
    with pytest.raises(UserError, match="poses must be the children's, got None"):
        module()(sample()[0])

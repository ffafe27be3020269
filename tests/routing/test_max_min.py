"""Facts of "Capsule Networks with Max-Min Normalization"."""

import math

import pytest
import torch

from capsnet.functional import squash
from capsnet.routing import max_min_routing


def literal_routing(votes, iterations):
    """One sample, in loops over numbers."""
    children, parents, dim = votes.shape
    logits = [[0.0] * parents for _ in range(children)]
    for step in range(iterations):
        coupling, poses = [[1.0] * parents for _ in range(children)], []
        if step:
            coupling = [[(b - min(row)) / (max(row) - min(row)) for b in row] for row in logits]
        for j in range(parents):
            s = [sum(coupling[i][j] * float(votes[i, j, d]) for i in range(children)) for d in range(dim)]
            square = sum(x * x for x in s)
            poses.append([square / (1 + square) * x / math.sqrt(square) for x in s])
        for i in range(children):
            for j in range(parents):
                logits[i][j] += sum(float(votes[i, j, d]) * poses[j][d] for d in range(dim))
    return torch.tensor(poses, dtype=torch.float64), torch.tensor(coupling, dtype=torch.float64)


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_routing_equals_the_procedure_in_loops(iterations):
    votes = torch.randn(2, 6, 4, 3, dtype=torch.float64)
    out = max_min_routing(votes, iterations)
    for sample in range(2):
        poses, coupling = literal_routing(votes[sample], iterations)
        torch.testing.assert_close(out.poses[sample], poses)
        torch.testing.assert_close(out.coupling[sample], coupling)


def test_best_parent_of_a_child_gets_all_of_it_and_the_worst_nothing():
    coupling = max_min_routing(torch.randn(2, 6, 4, 3)).coupling
    torch.testing.assert_close(coupling.amax(dim=2), torch.ones(2, 6))
    torch.testing.assert_close(coupling.amin(dim=2), torch.zeros(2, 6))


def test_equal_logits_give_every_parent_all_of_a_child():
    votes = torch.ones(1, 5, 3, 4)
    out = max_min_routing(votes, 3)
    torch.testing.assert_close(out.coupling, torch.ones(1, 5, 3))
    torch.testing.assert_close(out.poses, squash(votes.sum(dim=1)))

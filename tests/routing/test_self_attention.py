"""Facts of "Efficient-CapsNet" and of its authors' code."""

import math

import torch

from capsnet.functional import exponential_squash
from capsnet.routing import self_attention_routing


def literal_routing(votes, prior):
    """One sample, with the matrix of children by children, in loops over numbers."""
    children, parents, dim = votes.shape
    logits = [[0.0] * parents for _ in range(children)]
    for j in range(parents):
        for i in range(children):
            for k in range(children):
                product = sum(float(votes[i, j, d]) * float(votes[k, j, d]) for d in range(dim))
                logits[i][j] += product / math.sqrt(dim)
    poses, coupling = [], []
    for i in range(children):
        terms = [math.exp(b - max(logits[i])) for b in logits[i]]
        coupling.append([term / sum(terms) + float(prior[i, j]) for j, term in enumerate(terms)])
    for j in range(parents):
        s = [sum(coupling[i][j] * float(votes[i, j, d]) for i in range(children)) for d in range(dim)]
        norm = math.sqrt(sum(x * x for x in s))
        poses.append([(1 - math.exp(-norm)) * x / norm for x in s])
    return torch.tensor(poses, dtype=torch.float64), torch.tensor(coupling, dtype=torch.float64)


def test_one_product_with_the_sum_equals_the_matrix_of_children_by_children():
    votes, prior = torch.randn(2, 6, 4, 5, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    out = self_attention_routing(votes, prior)
    for sample in range(2):
        poses, coupling = literal_routing(votes[sample], prior)
        torch.testing.assert_close(out.poses[sample], poses)
        torch.testing.assert_close(out.coupling[sample], coupling)


def test_prior_is_added_after_the_softmax():
    votes, prior = torch.randn(2, 6, 4, 5), torch.randn(6, 4)
    added = self_attention_routing(votes, prior).coupling - self_attention_routing(votes).coupling
    torch.testing.assert_close(added, prior.expand(2, 6, 4))


def test_a_lone_child_among_silent_parents_goes_to_the_one_it_votes_for_by_hand():
    votes = torch.zeros(1, 1, 3, 4)
    votes[0, 0, 1] = torch.tensor([2.0, 0.0, 0.0, 0.0])
    out = self_attention_routing(votes)
    # its product with itself is 4, over the root of 4 dimensions: 2
    share = math.exp(2) / (math.exp(2) + 2)
    torch.testing.assert_close(out.coupling[0, 0, 1], torch.tensor(share))
    torch.testing.assert_close(out.poses[0, 1], exponential_squash(share * votes[0, 0, 1]))

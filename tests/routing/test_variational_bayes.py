"""Facts of "Capsule Routing via Variational Bayes"."""

import math

import pytest
import torch
from scipy.special import digamma

from capsnet.errors import UserError
from capsnet.functional import Windows, window_children
from capsnet.routing import VariationalBayesRouting, variational_bayes_routing


def literal_routing(votes, activations, iterations):
    """One sample, in loops over numbers."""
    children, parents, dim = votes.shape
    votes, activations = votes.tolist(), activations.tolist()
    r = [[1 / parents] * parents for _ in range(children)]
    for step in range(iterations):
        if step:
            for i in range(children):
                log_r = []
                for j in range(parents):
                    square = sum((votes[i][j][d] - m[j][d]) ** 2 / inverse_psi[j][d] for d in range(dim))
                    log_r.append(
                        log_pi[j]
                        + log_precision[j] / 2
                        - dim / 2 * math.log(2 * math.pi)
                        - (dim / (1 + mass[j]) + (dim + 1 + mass[j]) * square) / 2
                    )
                total = sum(math.exp(x) for x in log_r)
                r[i] = [math.exp(x) / total for x in log_r]
        mass = [sum(r[i][j] * activations[i] for i in range(children)) for j in range(parents)]
        m, inverse_psi, log_precision = [], [], []
        for j in range(parents):
            weights = [r[i][j] * activations[i] for i in range(children)]
            mu = [sum(w * votes[i][j][d] for i, w in enumerate(weights)) / mass[j] for d in range(dim)]
            m.append([mass[j] * x / (1 + mass[j]) for x in mu])
            inverse_psi.append(
                [
                    1
                    + sum(w * (votes[i][j][d] - mu[d]) ** 2 for i, w in enumerate(weights))
                    + mass[j] / (1 + mass[j]) * mu[d] ** 2
                    for d in range(dim)
                ]
            )
            determinant = sum(math.log(1 / x) for x in inverse_psi[j])
            freedom = sum(float(digamma((dim + 1 + mass[j] - d) / 2)) for d in range(dim))
            log_precision.append(freedom + dim * math.log(2) + determinant)
        whole = sum(1 + x for x in mass)
        log_pi = [float(digamma(1 + x) - digamma(whole)) for x in mass]
    entropy = [dim / 2 * math.log(2 * math.pi * math.e) - x / 2 for x in log_precision]
    logits = [0.4 - (math.exp(log_pi[j]) * entropy[j] + 0.1) for j in range(parents)]
    return m, [1 / (1 + math.exp(-x)) for x in logits], r


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_routing_equals_the_updates_in_loops(iterations):
    votes, activations = torch.randn(1, 6, 3, 4, dtype=torch.float64), torch.rand(1, 6, dtype=torch.float64)
    use, activate = torch.full((3,), 0.1, dtype=torch.float64), torch.full((3,), 0.4, dtype=torch.float64)
    out = variational_bayes_routing(votes, activations, use, activate, iterations)
    poses, active, coupling = literal_routing(votes[0], activations[0], iterations)
    torch.testing.assert_close(out.poses[0].tolist(), poses)
    torch.testing.assert_close(out.activations[0].tolist(), active)
    torch.testing.assert_close(out.coupling[0].tolist(), coupling)


def test_one_vote_is_shrunk_towards_the_prior_by_hand():
    votes = torch.full((1, 1, 1, 2), 3.0)
    zero = torch.zeros(1)
    out = variational_bayes_routing(votes, torch.ones(1, 1), zero, zero, 1)
    # one child, one pseudo-observation at zero: half way
    torch.testing.assert_close(out.poses, torch.full((1, 1, 2), 1.5))


def test_without_children_a_parent_is_its_prior():
    votes, zero = torch.randn(1, 4, 2, 3), torch.zeros(2)
    out = variational_bayes_routing(votes, torch.zeros(1, 4), zero, zero)
    torch.testing.assert_close(out.poses, torch.zeros(1, 2, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.activations[0, 0], out.activations[0, 1])


def test_a_tight_cluster_of_many_votes_activates_its_parent():
    votes = torch.randn(1, 200, 2, 8)
    votes[:, :, 0] = votes[:, :1, 0] + 0.01 * votes[:, :, 0]
    zero = torch.zeros(2)
    active = variational_bayes_routing(votes, torch.ones(1, 200), zero, zero).activations[0]
    assert active[0] > 0.9 > active[1]


def test_coupling_of_a_child_sums_to_one_over_the_windows_that_hold_it():
    windows = Windows(window_children((5, 4), 2, (3, 3), 1), 40)
    votes, activations = torch.randn(2 * 6, 18, 3, 4), torch.rand(2, 40)
    zero = torch.zeros(3)
    coupling = variational_bayes_routing(
        votes, activations[:, windows.children].flatten(0, 1), zero, zero, windows=windows
    ).coupling
    sums = torch.zeros(2, 40).index_add(1, windows.children.flatten(), coupling.sum(dim=2).reshape(2, -1))
    torch.testing.assert_close(sums, torch.ones(2, 40))


def test_poses_and_activations_are_normalised_over_the_batch_and_places():
    routing = VariationalBayesRouting(6, 3, parent_dim=4)
    out = routing(torch.randn(64, 6, 3, 4) + 2, torch.rand(64, 6))
    for values in (out.poses, out.activations.logit()[..., None]):
        torch.testing.assert_close(values.mean(dim=(0, 2)), torch.zeros(3), atol=1e-4, rtol=0)
        torch.testing.assert_close(values.var(dim=(0, 2), correction=0), torch.ones(3), atol=1e-2, rtol=0)


def test_statistics_of_the_batch_are_those_of_torch():
    routing, torchs = VariationalBayesRouting(6, 3, parent_dim=4), torch.nn.BatchNorm1d(3, affine=False)
    plain = VariationalBayesRouting(6, 3, parent_dim=4, batch_norm=False)
    for _ in range(3):
        votes = torch.randn(8, 6, 3, 4)
        torch.testing.assert_close(routing(votes).poses, torchs(plain(votes).poses))
    torchs.eval()
    routing.eval()
    torch.testing.assert_close(routing(votes).poses, torchs(plain(votes).poses))


def test_statistics_of_a_parent_are_over_the_samples_that_have_it():
    parent_mask = torch.tensor([[True, True, False]] * 2 + [[True, False, False], [False, True, False]])
    routing = VariationalBayesRouting(6, 3, parent_dim=4)
    few = VariationalBayesRouting(6, 2, parent_dim=4, batch_norm=False)
    votes = torch.randn(4, 6, 3, 4)
    out = routing(votes, parent_mask=parent_mask)
    plain = few(votes[..., :2, :], parent_mask=parent_mask[:, :2])
    for j in range(2):
        has = parent_mask[:, j]
        torchs = [torch.nn.BatchNorm1d(1, affine=False) for _ in range(2)]
        logits = plain.activations.logit()
        torch.testing.assert_close(out.poses[has, j], torchs[0](plain.poses[has, j][:, None])[:, 0])
        torch.testing.assert_close(out.activations[has, j].logit(), torchs[1](logits[has, j][:, None])[:, 0])
        for norm, torchs_norm in zip(routing.norms, torchs, strict=True):
            torch.testing.assert_close(norm.mean[j : j + 1], torchs_norm.running_mean)
            torch.testing.assert_close(norm.variance[j : j + 1], torchs_norm.running_var)
    # a parent that no sample has
    assert [float(norm.mean[2]) for norm in routing.norms] == [0, 0]
    assert [float(norm.variance[2]) for norm in routing.norms] == [1, 1]


def test_activation_of_a_parent_of_one_sample_has_the_running_statistics():
    votes, parent_mask = torch.randn(2, 6, 3, 4), torch.tensor([[True, True, True], [True, False, False]])
    routing = VariationalBayesRouting(6, 3, parent_dim=4)
    expected = routing.eval()(votes, parent_mask=parent_mask).activations
    got = routing.train()(votes, parent_mask=parent_mask).activations
    torch.testing.assert_close(got[:, 1:], expected[:, 1:])
    assert not torch.allclose(got[:, 0], expected[:, 0])


def test_a_batch_of_one_can_be_trained_on():
    out = VariationalBayesRouting(6, 3, parent_dim=4)(torch.randn(1, 6, 3, 4), torch.rand(1, 6))
    assert out.activations.isfinite().all()


def test_first_coupling_of_the_authors_is_one_over_the_types_in_every_window():
    windows = Windows(window_children((3, 3), 1, (2, 2), 1), 9)
    votes, beta = torch.randn(4, 4, 5, 2), torch.zeros(5)
    coupling = {
        start: variational_bayes_routing(votes, torch.ones(4, 4), beta, beta, 1, start=start, windows=windows).coupling
        for start in ("types", "parents")
    }
    torch.testing.assert_close(coupling["types"], torch.full((4, 4, 5), 1 / 5))
    # the child in the middle is in all four windows, the one in the corner in one
    torch.testing.assert_close(coupling["parents"][0, 3], torch.full((5,), 1 / 20))
    torch.testing.assert_close(coupling["parents"][0, 0], torch.full((5,), 1 / 5))


@pytest.mark.usefixtures("unchecked")
def test_unknown_start_is_refused():
    with pytest.raises(UserError, match="start must be 'parents' or 'types', got 'even'"):
        VariationalBayesRouting(3, 2, parent_dim=4, start="even")

from math import exp, floor, log2

import pytest
import torch

from capsnet.errors import UserError
from capsnet.routing import behaviour_to_interest_routing, count_interests, draw_logits


def sample(users=3, behaviours=6, interests=4, dim=5):
    return torch.randn(users, behaviours, dim), torch.randn(users, behaviours, interests)


def in_loops(votes, logits, iterations, interests):
    """Algorithm 1 for one user, number by number."""
    behaviours, dim = votes.shape
    logits = [[float(x) for x in row[:interests]] for row in logits]
    for _ in range(iterations):
        poses = []
        for j in range(interests):
            z = [0.0] * dim
            for i in range(behaviours):
                share = exp(logits[i][j]) / sum(exp(logits[i][k]) for k in range(interests))
                z = [total + share * float(x) for total, x in zip(z, votes[i], strict=True)]
            square = sum(x * x for x in z)
            poses.append([square / (1 + square) * x / square**0.5 for x in z])
        for i in range(behaviours):
            for j in range(interests):
                logits[i][j] += sum(float(x) * y for x, y in zip(votes[i], poses[j], strict=True))
    return torch.tensor(poses)


@pytest.mark.parametrize("iterations", [1, 3])
def test_routing_equals_the_algorithm_in_loops(iterations):
    votes, logits = sample()
    number = torch.tensor([2, 4, 1])
    interests = torch.arange(4) < number[:, None]
    out = behaviour_to_interest_routing(votes, logits, iterations, interests=interests)
    for user, j in enumerate(number):
        torch.testing.assert_close(out.poses[user, :j], in_loops(votes[user], logits[user], iterations, int(j)))
        assert out.poses[user, j:].count_nonzero() == 0
    assert torch.equal(out.mask, interests)


def test_users_do_not_share_their_logits():
    # a fault of other libraries: updates are summed over the batch
    votes, logits = sample(users=8)
    together = behaviour_to_interest_routing(votes, logits).poses
    alone = [behaviour_to_interest_routing(votes[k : k + 1], logits[k : k + 1]).poses for k in range(8)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_calls_do_not_depend_on_earlier_calls():
    # a fault of other libraries: logits are a variable that every batch goes on with
    votes, logits = sample()
    first = behaviour_to_interest_routing(votes, logits)
    assert torch.equal(behaviour_to_interest_routing(votes, logits).poses, first.poses)


@pytest.mark.parametrize("filler", [0.0, 1e9, torch.nan])
def test_padding_does_not_vote(filler):
    votes, logits = sample()
    expected = behaviour_to_interest_routing(votes[:, :4], logits[:, :4])
    mask = torch.arange(6).expand(3, -1) < 4
    padded = votes.masked_fill(~mask[..., None], filler).requires_grad_()
    out = behaviour_to_interest_routing(padded, logits.masked_fill(~mask[..., None], filler), mask=mask)
    torch.testing.assert_close(out.poses, expected.poses)
    assert out.coupling[:, 4:].count_nonzero() == 0
    out.poses.sum().backward()
    assert padded.grad.isfinite().all()
    assert padded.grad[:, 4:].count_nonzero() == 0


def test_user_without_behaviours_has_no_interests():
    votes, logits = sample()
    mask = torch.tensor([True, False, True])[:, None].expand(-1, 6)
    out = behaviour_to_interest_routing(votes.requires_grad_(), logits, mask=mask)
    assert out.mask.any(dim=1).tolist() == [True, False, True]
    assert out.poses[1].count_nonzero() == 0
    out.activations.sum().backward()
    assert votes.grad.isfinite().all()


def test_coupling_sums_to_one_over_the_interests_of_a_user():
    votes, logits = sample()
    interests = torch.arange(4) < torch.tensor([[2], [4], [1]])
    coupling = behaviour_to_interest_routing(votes, logits, interests=interests).coupling
    torch.testing.assert_close(coupling.sum(dim=2), torch.ones(3, 6))
    assert coupling[0, :, 2:].count_nonzero() == 0


def test_gradient_of_the_last_iteration_takes_the_coupling_as_a_constant():
    votes, logits = sample()
    votes.requires_grad_()
    full, last = (behaviour_to_interest_routing(votes, logits, gradient=way) for way in ("full", "last"))
    assert torch.equal(full.poses, last.poses)
    (got,) = torch.autograd.grad(last.poses.square().sum(), votes)
    total = torch.einsum("bij,bid->bjd", last.coupling.detach(), votes)
    norm = total.norm(dim=-1, keepdim=True)
    (expected,) = torch.autograd.grad((norm / (1 + norm.square()) * total).square().sum(), votes)
    torch.testing.assert_close(got, expected)
    (other,) = torch.autograd.grad(full.poses.square().sum(), votes)
    assert not torch.allclose(got, other)


def test_gradient_is_that_of_finite_differences():
    votes, logits = (x.double() for x in sample())
    mask = torch.arange(6) < torch.tensor([[6], [3], [0]])
    assert torch.autograd.gradcheck(
        lambda v: behaviour_to_interest_routing(v, logits, mask=mask)[:2], votes.requires_grad_()
    )


def test_equal_logits_keep_all_interests_equal():
    # the reason why the paper draws them
    votes, logits = sample()
    poses = behaviour_to_interest_routing(votes, torch.zeros_like(logits)).poses
    torch.testing.assert_close(poses, poses[:, :1].expand_as(poses))


def test_number_of_interests_is_the_logarithm_of_the_behaviours():
    numbers = torch.arange(1, 5000)
    expected = [max(1, min(6, floor(log2(number)))) for number in numbers.tolist()]
    assert count_interests(numbers, 6).tolist() == expected
    assert count_interests(torch.tensor([0]), 6).tolist() == [1]


def test_logits_belong_to_a_user_and_a_position():
    both, alone = draw_logits(torch.tensor([7, 8]), 5, 3), draw_logits(torch.tensor([8]), 9, 4)
    assert torch.equal(both[1], alone[0, :5, :3])
    assert not torch.isclose(both[0], both[1]).any()
    assert not torch.isclose(both, draw_logits(torch.tensor([7, 8]), 5, 3, seed=1)).any()


def test_logits_are_normal():
    logits = draw_logits(torch.arange(1000), 20, 4, std=2.0)
    assert abs(float(logits.mean())) < 0.03
    assert abs(float(logits.std()) - 2) < 0.03
    # 4.55 % of a normal distribution lie beyond two standard deviations
    assert abs(float((logits.abs() > 4).float().mean()) - 0.0455) < 0.004
    assert abs(float((logits[:-1] * logits[1:]).mean())) < 0.06


@pytest.mark.usefixtures("unchecked")
def test_what_is_out_of_bounds_is_refused():
    votes, logits = sample()
    with pytest.raises(UserError, match="iterations must be at least 1, got 0"):
        behaviour_to_interest_routing(votes, logits, 0)
    with pytest.raises(UserError, match="gradient must be 'full' or 'last', got 'some'"):
        behaviour_to_interest_routing(votes, logits, gradient="some")
    with pytest.raises(UserError, match="interests must be at least one for each user"):
        behaviour_to_interest_routing(votes, logits, interests=torch.zeros(3, 4, dtype=torch.bool))


def test_interests_on_another_device_are_not_read():
    votes, logits = (x.to("meta") for x in sample())
    interests = torch.zeros(3, 4, dtype=torch.bool, device="meta")
    assert behaviour_to_interest_routing(votes, logits, interests=interests).poses.shape == (3, 4, 5)

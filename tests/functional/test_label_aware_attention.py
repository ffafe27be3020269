from math import exp, inf

import pytest
import torch

from capsnet.errors import UserError
from capsnet.functional import label_aware_attention


def test_attention_equals_its_formula():
    interests, item = torch.rand(1, 3, 4), torch.rand(1, 4)
    products = [float(interests[0, j] @ item[0]) ** 3 for j in range(3)]
    weights = torch.tensor([exp(x) / sum(map(exp, products)) for x in products])
    torch.testing.assert_close(label_aware_attention(interests, item, 3.0)[0], weights @ interests[0])


def test_power_goes_from_the_mean_to_the_best():
    interests, item = torch.tensor([[[2.0, 1.0], [3.0, 0.0]]]), torch.tensor([[1.0, 0.0]])
    torch.testing.assert_close(label_aware_attention(interests, item, 0.0), interests.mean(dim=1))
    torch.testing.assert_close(label_aware_attention(interests, item, inf), interests[:, 1])
    torch.testing.assert_close(label_aware_attention(interests, item, 20.0), interests[:, 1])


def test_interest_that_points_away_is_not_rewarded_by_an_even_power():
    interests, item = torch.tensor([[[-9.0, 1.0], [1.0, 0.0]]]), torch.tensor([[1.0, 0.0]])
    torch.testing.assert_close(label_aware_attention(interests, item, 2.0), interests[:, 1])


@pytest.mark.parametrize("power", [0.0, 2.0, inf])
def test_interests_that_a_user_does_not_have_get_no_weight(power):
    interests, items = torch.randn(2, 3, 4), torch.randn(2, 4)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    got = label_aware_attention(interests, items, power, mask=mask)
    torch.testing.assert_close(got[:1], label_aware_attention(interests[:1, :2], items[:1], power))
    assert got[1].count_nonzero() == 0


def test_power_between_0_and_1_is_refused():
    with pytest.raises(UserError, match=r"power must be 0 or at least 1, got 0\.5"):
        label_aware_attention(torch.randn(1, 2, 3), torch.randn(1, 3), 0.5)


def test_a_power_that_overflows_chooses_the_best():
    interests = torch.tensor([[[1e3, 0.0], [0.0, 1.0]]])
    chosen = label_aware_attention(interests, torch.tensor([[1e3, 0.0]]), 20.0)
    assert chosen.equal(interests[:, 0])


@pytest.mark.parametrize("power", [2.0, 20.0])
def test_power_that_overflows_has_a_finite_gradient(power):
    interests = torch.tensor([[[1e30, 1.0], [3.0, 0.0]]], requires_grad=True)
    out = label_aware_attention(interests, torch.tensor([[1.0, 0.0]]), power)
    torch.testing.assert_close(out, interests[:, 0])
    out.sum().backward()
    assert interests.grad.isfinite().all()


def test_gradient_at_a_product_of_zero_is_that_of_a_softmax():
    interests = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]], requires_grad=True)
    items = torch.tensor([[1.0, 1.0]])
    weights = torch.einsum("bjd,bd->bj", interests, items).softmax(dim=1)
    expected = torch.autograd.grad(torch.einsum("bj,bjd->bd", weights, interests).sum(), interests)[0]
    found = torch.autograd.grad(label_aware_attention(interests, items, 1.0).sum(), interests)[0]
    torch.testing.assert_close(found, expected)

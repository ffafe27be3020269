import pytest
import torch

from capsnet.errors import UserError
from capsnet.losses import draw_negatives, sampled_softmax_loss


def test_loss_is_cross_entropy_if_each_item_is_sampled():
    users, items, labels = torch.randn(5, 4), torch.randn(9, 4), torch.tensor([0, 3, 8, 3, 1])
    expected = torch.nn.functional.cross_entropy(users @ items.T, labels, reduction="none")
    got = sampled_softmax_loss(users, items, labels, torch.randperm(9), reduction="none")
    torch.testing.assert_close(got, expected)


def test_true_item_among_the_negatives_counts_once():
    users, items, labels = torch.randn(1, 4), torch.randn(9, 4), torch.tensor([3])
    got = sampled_softmax_loss(users, items, labels, torch.tensor([3, 5]))
    torch.testing.assert_close(got, sampled_softmax_loss(users, items, labels, torch.tensor([5])))


def test_items_that_are_sampled_more_often_weigh_less():
    # the sum over samples is then an unbiased estimate: an item sampled twice, expected twice, counts once
    users, items, labels = torch.randn(2, 4), torch.randn(9, 4), torch.tensor([0, 1])
    expected_twice = torch.zeros(9)
    expected_twice[5] = torch.tensor(2.0).log()
    got = sampled_softmax_loss(users, items, labels, torch.tensor([5, 5, 7]), log_expected=expected_twice)
    torch.testing.assert_close(got, sampled_softmax_loss(users, items, labels, torch.tensor([5, 7])))


def test_equal_chances_cancel():
    users, items, labels = torch.randn(2, 4), torch.randn(9, 4), torch.tensor([0, 1])
    negatives = torch.tensor([5, 7])
    got = sampled_softmax_loss(users, items, labels, negatives, log_expected=torch.full((9,), -3.0))
    torch.testing.assert_close(got, sampled_softmax_loss(users, items, labels, negatives))


def test_negatives_are_different_items_drawn_by_the_generator():
    first, again = (draw_negatives(50, 60, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert len(first.unique()) == 50
    assert not torch.equal(first, draw_negatives(50, 60, torch.Generator().manual_seed(2)))


def test_what_is_no_item_is_refused():
    users, items = torch.randn(1, 4), torch.randn(9, 4)
    with pytest.raises(UserError, match="from 0 to 8 for 9 classes, got 9 to 9"):
        sampled_softmax_loss(users, items, torch.tensor([0]), torch.tensor([9]))
    with pytest.raises(UserError, match="number must be from 1 to the 9 items, got 10"):
        draw_negatives(10, 9)

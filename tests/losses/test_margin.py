import pytest
import torch

from capsnet.errors import UserError
from capsnet.losses import margin_loss


def test_margin_loss_equals_equation_4_by_hand():
    lengths = torch.tensor([[0.8, 0.3, 0.05], [0.95, 0.2, 0.6]])
    first = (0.9 - 0.8) ** 2 + 0.5 * (0.3 - 0.1) ** 2
    second = (0.9 - 0.6) ** 2 + 0.5 * ((0.95 - 0.1) ** 2 + (0.2 - 0.1) ** 2)
    losses = margin_loss(lengths, torch.tensor([0, 2]), reduction="none")
    torch.testing.assert_close(losses, torch.tensor([first, second]))
    torch.testing.assert_close(margin_loss(lengths, torch.tensor([0, 2])), torch.tensor((first + second) / 2))
    torch.testing.assert_close(
        margin_loss(lengths, torch.tensor([0, 2]), reduction="sum"), torch.tensor(first + second)
    )


def test_several_classes_may_be_present():
    lengths = torch.tensor([[0.5, 0.5, 0.5]])
    both = margin_loss(lengths, torch.tensor([[1, 1, 0]]))
    torch.testing.assert_close(both, torch.tensor(2 * 0.4**2 + 0.5 * 0.4**2))


def test_indices_equal_one_hot_rows():
    lengths, labels = torch.rand(5, 4), torch.tensor([0, 3, 1, 1, 2])
    rows = torch.nn.functional.one_hot(labels, 4)
    torch.testing.assert_close(margin_loss(lengths, labels), margin_loss(lengths, rows))


def test_loss_is_zero_inside_both_margins():
    assert margin_loss(torch.tensor([[0.93, 0.07]]), torch.tensor([0])) == 0


def test_one_class_works():
    torch.testing.assert_close(margin_loss(torch.tensor([[0.4]]), torch.tensor([0])), torch.tensor(0.25))


@pytest.mark.usefixtures("unchecked")
def test_unknown_reduction_is_refused():
    with pytest.raises(UserError, match="'mean', 'sum' or 'none'"):
        margin_loss(torch.rand(1, 2), torch.tensor([0]), reduction="average")

import pytest
import torch

from capsnet.losses import spread_loss, spread_margin


def test_spread_loss_equals_equation_3_by_hand():
    activations = torch.tensor([[0.9, 0.2, 0.6], [0.1, 0.5, 0.3]])
    # sample 0: gaps 0.7 and 0.3; sample 1: gaps 0.4 and 0.2
    expected = torch.tensor([(0.5 - 0.3) ** 2, (0.5 - 0.4) ** 2 + (0.5 - 0.2) ** 2])
    losses = spread_loss(activations, torch.tensor([0, 1]), 0.5, reduction="none")
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(spread_loss(activations, torch.tensor([0, 1]), 0.5), expected.mean())


def test_true_class_does_not_compete_with_itself():
    assert spread_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), 0.9) == 0
    assert spread_loss(torch.tensor([[0.4]]), torch.tensor([0]), 0.9) == 0


@pytest.mark.parametrize(("step", "margin"), [(0, 0.214), (200_000, 0.595), (500_000, 0.988), (10**7, 0.99)])
def test_margin_rises_as_in_the_authors_code(step, margin):
    assert spread_margin(step).item() == pytest.approx(margin, abs=5e-4)
    assert spread_margin(torch.tensor(step)).item() == pytest.approx(margin, abs=5e-4)

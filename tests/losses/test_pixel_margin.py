import pytest
import torch

from capsnet.losses import PixelMarginLoss, margin_loss, pixel_margin_loss

LENGTHS, MASKS = torch.tensor([[[[0.5, 0.2], [0.95, 0.05]]]]), torch.tensor([[[[1, 0], [1, 0]]]])


def test_pixel_margin_loss_by_hand():
    assert float(pixel_margin_loss(LENGTHS, MASKS)) == pytest.approx((0.4**2 + 0.5 * 0.1**2) / 4)


def test_the_weight_is_of_pixels_with_the_class():
    assert float(PixelMarginLoss(positive_weight=3.0)(LENGTHS, MASKS)) == pytest.approx((3 * 0.4**2 + 0.005) / 4)


def test_at_one_pixel_it_is_the_margin_loss_over_the_classes():
    lengths, present = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)), torch.eye(3)[[0, 2, 1, 1]]
    pixels = pixel_margin_loss(lengths[:, :, None], present[:, :, None])
    torch.testing.assert_close(3 * pixels, margin_loss(lengths, present.long()))

import pytest
import torch

from capsnet import UserError
from capsnet.losses import DiceLoss, dice_loss, pixel_margin_loss

LENGTHS = torch.tensor([[[[0.8, 0.2]], [[0.5, 0.5]]]])
MASKS = torch.tensor([[[[1, 0]], [[1, 1]]]])


def test_dice_loss_by_hand():
    expected = ((1 - 2 * 0.8 / (1.0 + 1)) + (1 - 2 * 1.0 / (1.0 + 2))) / 2
    assert float(dice_loss(LENGTHS, MASKS)) == pytest.approx(expected, abs=1e-5)


def test_exact_masks_have_no_loss():
    assert float(DiceLoss()(MASKS.float(), MASKS)) == pytest.approx(0, abs=1e-6)


def test_an_absent_class_that_is_not_found_has_no_loss():
    assert float(dice_loss(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))) == 0


def test_smooth_of_0_is_refused():
    with pytest.raises(UserError, match="smooth must be greater than 0"):
        DiceLoss(0.0)(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))


def test_pooled_dice_counts_each_pixel_once():
    # classes of unlike size, one of them absent
    lengths, masks = (
        torch.cat([LENGTHS, LENGTHS[:, :1]], dim=1),
        torch.cat([MASKS, torch.zeros_like(MASKS[:, :1])], dim=1),
    )
    expected = 1 - 2 * (0.8 + 1.0) / (3.0 + 3)
    assert float(dice_loss(lengths, masks, pooled=True)) == pytest.approx(expected, abs=1e-5)
    assert float(DiceLoss(pooled=True)(lengths, masks)) == pytest.approx(expected, abs=1e-5)


def test_masks_of_another_shape_are_refused():
    with pytest.raises(UserError, match="masks must be b x n x space like the lengths"):
        dice_loss(LENGTHS, MASKS[:, :1])


def test_masks_as_files_hold_them_are_refused():
    lengths, masks = torch.rand(1, 1, 2, 2), torch.tensor([[[[0, 255], [255, 0]]]])
    for loss in (dice_loss, pixel_margin_loss):
        with pytest.raises(UserError, match="masks must be 0 or 1, got 0 to 255; divide by 255"):
            loss(lengths, masks)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("loss", [dice_loss, pixel_margin_loss])
def test_many_pixels_in_half_precision_are_summed_in_float32(loss, dtype):
    lengths = torch.full((1, 1, 512, 512), 0.5)
    masks = torch.zeros(1, 1, 512, 512)
    masks[..., :100] = 1
    torch.testing.assert_close(loss(lengths.to(dtype), masks), loss(lengths, masks))

import pytest
import torch

from capsnet import UserError
from capsnet.data.multimnist_masks import mask_pairs
from capsnet.data.pairs import make_pairs


def pair():
    first, second = torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    first[..., 0, :] = 200
    second[..., :, 0] = 128
    second[..., 1, 1] = 127
    return make_pairs(first, second, torch.tensor([[3, 1]]), torch.zeros(1, 2, 2, dtype=torch.long), padding=0)


def test_masks_follow_from_the_pixels_of_each_digit_alone():
    masked = mask_pairs(pair(), num_classes=4)
    assert masked.masks[0, 3].tolist() == [[True, True], [False, False]]
    assert masked.masks[0, 1].tolist() == [[True, False], [True, False]]
    assert not masked.masks[0, [0, 2]].any()


def test_a_label_without_a_mask_is_refused():
    with pytest.raises(UserError, match="num_classes must be above the largest label, 3, got 3"):
        mask_pairs(pair(), num_classes=3)


def test_a_threshold_of_zero_is_refused():
    with pytest.raises(UserError, match="threshold must be 1 to 255, got 0"):
        mask_pairs(pair(), threshold=0)

"""Pairs of overlapping digits with a segmentation mask of each digit, computed from its pixels."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from capsnet.data.pairs import Pairs
from capsnet.errors import UserError


@dataclass(frozen=True)
class MaskedImages:
    """Images with a mask for each class.

    Args:
        images: pixels.
        masks: the pixels of each class; a pixel may belong to several classes.
        labels: the two classes of each image.

    Shapes:
        images `b c h w`, masks `b n h w`, labels `b 2`.
    """

    images: UInt8[Tensor, "b c h w"]
    masks: Bool[Tensor, "b n h w"]
    labels: Int[Tensor, "b 2"]

    def __len__(self) -> int:
        return len(self.images)


def mask_pairs(pairs: Pairs, num_classes: int = 10, threshold: int = 128) -> MaskedImages:
    """Make the masks of each pair: a digit's mask holds the pixels of at least `threshold` in the digit's own image.

    Args:
        pairs: from `draw_pairs` or `fixed_pairs`.
        num_classes: number of masks for each image; the masks of absent classes are empty.
        threshold: the smallest value of a digit's pixel, 1 to 255.

    Raises:
        UserError: a threshold out of range, or a label that is not below `num_classes`.

    Example:
        >>> masked = mask_pairs(next(fixed_pairs(data.images, data.labels, Pairing())))
        >>> masked.masks.shape
        torch.Size([128, 10, 36, 36])
    """
    if not 1 <= threshold <= 255:
        raise UserError(f"threshold must be 1 to 255, got {threshold}")
    if int(pairs.labels.max()) >= num_classes:
        raise UserError(f"num_classes must be above the largest label, {int(pairs.labels.max())}, got {num_classes}")
    inside = (pairs.singles >= threshold).any(dim=2)  # b 2 h w
    masks = torch.zeros(len(pairs), num_classes, *inside.shape[2:], dtype=torch.bool, device=inside.device)
    # the two classes of a pair differ: each mask is written once
    masks[torch.arange(len(pairs), device=inside.device)[:, None], pairs.labels] = inside
    return MaskedImages(pairs.images, masks, pairs.labels)

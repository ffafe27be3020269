"""Overlap of two masks: the Dice coefficient and intersection over union."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def dice_score(masks: Shaped[Tensor, "*b h w"], targets: Shaped[Tensor, "*b h w"]) -> Float[Tensor, "*b"]:
    r"""The Dice coefficient $2 |A \cap B| / (|A| + |B|)$ of each mask; 1 where both are empty.

    Shapes:
        masks and targets `*b h w`, true or above 0 where the object is; result `*b`.
    """
    both, total = _count(masks, targets)
    return torch.where(total > 0, 2 * both / total.clamp(min=1), torch.ones_like(total))


def iou_score(masks: Shaped[Tensor, "*b h w"], targets: Shaped[Tensor, "*b h w"]) -> Float[Tensor, "*b"]:
    r"""Intersection over union $|A \cap B| / |A \cup B|$ of each mask; 1 where both are empty.

    Shapes:
        masks and targets `*b h w`, true or above 0 where the object is; result `*b`.
    """
    both, total = _count(masks, targets)
    union = total - both
    return torch.where(union > 0, both / union.clamp(min=1), torch.ones_like(union))


def _count(masks: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    one, two = masks > 0, targets > 0
    both = (one & two).sum(dim=(-2, -1)).double()
    return both, one.sum(dim=(-2, -1)).double() + two.sum(dim=(-2, -1)).double()

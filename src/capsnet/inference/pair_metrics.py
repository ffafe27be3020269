"""Metrics for pairs of digits; the classes of the two longest capsules are the prediction.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 6.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def find_pairs(lengths: Float[Tensor, "b n"]) -> Int[Tensor, "b 2"]:
    """The two longest capsules of each image, the longest first.

    Shapes:
        lengths `b n`, result `b 2`.
    """
    return lengths.topk(2, dim=1).indices


def exact_pairs(predicted: Int[Tensor, "b 2"], labels: Int[Tensor, "b 2"]) -> Bool[Tensor, " b"]:
    """Which pairs are predicted exactly: both digits, in either order. One of the two does not count.

    Shapes:
        predicted and labels `b 2`, result `b`.
    """
    return (predicted.sort(dim=1).values == labels.sort(dim=1).values).all(dim=1)


def match_found(predicted: Int[Tensor, "b 2"], labels: Int[Tensor, "b 2"]) -> Int[Tensor, "b 2"]:
    """The prediction for each digit: the digit itself if it was predicted, otherwise a capsule that matches neither.

    If neither digit was predicted, the longest capsule is the prediction for the first.

    Shapes:
        predicted and labels `b 2`, result `b 2`, in the order of labels.
    """
    hits = labels[:, :, None] == predicted[:, None, :]  # b digit capsule
    matched = hits.any(dim=2)
    unmatched = torch.where(hits[:, :, 0].any(dim=1), predicted[:, 1], predicted[:, 0])
    substitute = torch.where(matched.any(dim=1, keepdim=True), unmatched[:, None], predicted)
    return torch.where(matched, labels, substitute)

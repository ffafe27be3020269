"""How well the two digits of a pair are found: the two longest capsules are what the network says.

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


def exact_pairs(found: Int[Tensor, "b 2"], labels: Int[Tensor, "b 2"]) -> Bool[Tensor, " b"]:
    """Which pairs are right: both digits found, in whichever order. One of the two counts as wrong.

    Shapes:
        found and labels `b 2`, result `b`.
    """
    return (found.sort(dim=1).values == labels.sort(dim=1).values).all(dim=1)


def match_found(found: Int[Tensor, "b 2"], labels: Int[Tensor, "b 2"]) -> Int[Tensor, "b 2"]:
    """What was said of each digit: the digit itself where it was found, otherwise what was said in its place.

    Of two digits that were both missed, the longest capsule stands for the first.

    Shapes:
        found and labels `b 2`, result `b 2`, in the order of labels.
    """
    hits = labels[:, :, None] == found[:, None, :]  # b digit capsule
    seen = hits.any(dim=2)
    stray = torch.where(hits[:, :, 0].any(dim=1), found[:, 1], found[:, 0])
    instead = torch.where(seen.any(dim=1, keepdim=True), stray[:, None], found)
    return torch.where(seen, labels, instead)

"""Hold out images by a hash of each image's name, so that adding an image moves no other one.

An image is held out if its hash, scaled to [0, 1), is below the share.
"""

import hashlib
import unicodedata
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from capsnet.errors import UserError

# hashes are signed 64-bit integers, evenly distributed around zero
_LOW, _RANGE = -(2**63), 2**64


def hash_names(names: Sequence[str]) -> Int[Tensor, " m"]:
    """A 64-bit hash of each name.

    Shapes:
        result `m`.
    """
    # some systems store é as one character, others as two; names need not be UTF-8
    encoded = (unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape") for name in names)
    return torch.tensor([_number(name) for name in encoded], dtype=torch.long)


def hash_images(images: Tensor) -> Int[Tensor, " m"]:
    """A 64-bit hash of each image's pixels: equal images have equal hashes.

    Shapes:
        images `m ...`, result `m`.
    """
    return torch.tensor([_number(image.contiguous().numpy().tobytes()) for image in images], dtype=torch.long)


def hold_out_by_hash(
    keys: Int[Tensor, " m"], labels: Int[Tensor, " m"], share: int | float, *, salt: str
) -> tuple[Int[Tensor, " _"], Int[Tensor, " _"]]:
    """Split images into two parts, class by class.

    With a share, an image is held out if its hash is below the share, independently of all others. A class of two
    images or more has at least one in each part; the only image of a class is never held out. With a number, the images
    with the lowest hashes of each class are held out, in proportion to the size of the class.

    Args:
        keys: a hash of each image.
        labels: class index of each image.
        share: share of the images (below 1), or their number.
        salt: a string that selects the split; another salt gives another split.

    Returns:
        Indices of the remaining images and of the images held out, both in ascending order.

    Raises:
        UserError: a number that leaves a class without an image.

    Shapes:
        keys and labels `m`.
    """
    order = {key: _number(f"{salt}:{key}".encode()) for key in set(keys.tolist())}
    drawn = torch.tensor([order[key] for key in keys.tolist()], dtype=torch.long)
    members = [index[drawn[index].argsort(stable=True)] for index in _by_class(labels)]
    if share < 1:
        limit = _LOW + round(share * _RANGE)
        counts = [int((drawn[index] < limit).sum()) for index in members]
        if share > 0:
            counts = [min(max(count, 1), len(index) - 1) for count, index in zip(counts, members, strict=True)]
    else:
        counts = _quotas([len(index) for index in members], int(share))
    held = torch.cat([index[:count] for index, count in zip(members, counts, strict=True)])
    kept = torch.cat([index[count:] for index, count in zip(members, counts, strict=True)])
    return kept.sort().values, held.sort().values


def check_limit(name: str, limit: int, labels: Int[Tensor, " m"]) -> None:
    """Check that this number of images, taken by their hashes, can hold one of each class.

    Args:
        name: of the option, for the message.
        limit: number of images that are kept.
        labels: of all images.

    Raises:
        UserError: fewer images than classes.
    """
    classes = len(set(labels.tolist()))
    if limit < classes:
        raise UserError(f"{name} must be at least {classes}, one of each class, got {limit}")


def _by_class(labels: Tensor) -> list[Tensor]:
    return [(labels == label).nonzero()[:, 0] for label in sorted(set(labels.tolist()))]


def _quotas(sizes: Sequence[int], count: int) -> list[int]:
    """How many images to take from each class: `count` in all, in proportion, leaving each class at least one."""
    total = sum(sizes)
    if count > total - len(sizes):
        raise UserError(
            f"{count} of {total} images held out would leave some of the {len(sizes)} classes without an image; "
            "hold out fewer"
        )
    quotas = [min(count * size // total, size - 1) for size in sizes]
    # the largest remainders first, then any class with images left
    remainders = sorted(range(len(sizes)), key=lambda k: (-(count * sizes[k] % total), k))
    while missing := count - sum(quotas):
        roomy = [k for k in remainders if quotas[k] < sizes[k] - 1][:missing]
        for k in roomy:
            quotas[k] += 1
    return quotas


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)

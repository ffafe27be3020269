"""Which images are held out: by a hash of each image's name, so that one more image moves no other.

An image is held out where its hash, as a number from 0 to 1, is below the share that is wanted.
"""

import hashlib
import unicodedata
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from capsnet.errors import UserError

# hashes are kept as signed 64-bit numbers, below zero as often as above
_LOW, _RANGE = -(2**63), 2**64


def hash_names(names: Sequence[str]) -> Int[Tensor, " m"]:
    """A number for each name that depends on nothing else.

    Shapes:
        result `m`.
    """
    # one system writes é as one character, another as two; names need not be UTF-8
    encoded = (unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape") for name in names)
    return torch.tensor([_number(name) for name in encoded], dtype=torch.long)


def hash_images(images: Tensor) -> Int[Tensor, " m"]:
    """A number for each image that depends on its pixels only: equal images have the same one.

    Shapes:
        images `m ...`, result `m`.
    """
    return torch.tensor([_number(image.contiguous().numpy().tobytes()) for image in images], dtype=torch.long)


def hold_out_by_hash(
    keys: Int[Tensor, " m"], labels: Int[Tensor, " m"], share: int | float, *, salt: str
) -> tuple[Int[Tensor, " _"], Int[Tensor, " _"]]:
    """Split images class by class.

    Of a share, each image stands for itself: it is held out where its hash is below the share. A class of two images
    or more has at least one in each part; the only image of a class is never held out. Of a number, the images with
    the lowest hashes of each class are held out, so many that classes keep their proportions.

    Args:
        keys: a hash of each image.
        labels: the class of each.
        share: share of the images (below 1), or their number.
        salt: another one gives another split.

    Returns:
        Indices of what stays and of what is held out, both in ascending order.

    Raises:
        UserError: a number that leaves fewer images than classes.

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


def _by_class(labels: Tensor) -> list[Tensor]:
    return [(labels == label).nonzero()[:, 0] for label in sorted(set(labels.tolist()))]


def _quotas(sizes: Sequence[int], count: int) -> list[int]:
    """How many of each class make up `count`, in proportion, leaving each class at least one."""
    total = sum(sizes)
    if count > total - len(sizes):
        raise UserError(
            f"{count} of {total} images held out would leave some of the {len(sizes)} classes without an image; "
            "hold out fewer"
        )
    quotas = [min(count * size // total, size - 1) for size in sizes]
    # the largest remainders first; then whatever class still has room
    remainders = sorted(range(len(sizes)), key=lambda k: (-(count * sizes[k] % total), k))
    while missing := count - sum(quotas):
        roomy = [k for k in remainders if quotas[k] < sizes[k] - 1][:missing]
        for k in roomy:
            quotas[k] += 1
    return quotas


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)

"""Two overlapping digits of different classes in one image: MultiMNIST's pairs.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 6.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int, Shaped, UInt8
from torch import Tensor

from capsnet.data.frame import pad_images
from capsnet.data.transforms.shift import draw_shifts, shift_images
from capsnet.errors import UserError


@dataclass(frozen=True)
class Pairing:
    """How pairs are made of single digits.

    Differs from the paper:
        The base digit is shifted anew in each of its pairs; the authors' code shifts it once for all of its 1,000
        pairs. Partners are drawn with replacement. The 60 million training pairs are not a fixed set: each batch is
        drawn anew. The test set has `pairs_per_digit` pairs for each digit, the paper's has 1,000.

    Args:
        padding: zeros that are put around each digit first, on every side.
        shift: how far each digit then moves at most, in both directions (the paper: 4; the authors' command: 6).
        pairs_per_digit: pairs of each test digit.
        seed: of the test pairs.

    Raises:
        UserError: a value out of range.
    """

    padding: int = 4
    shift: int = 4
    pairs_per_digit: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in (("padding", 0), ("shift", 0), ("pairs_per_digit", 1), ("seed", 0)):
            if getattr(self, name) < low:
                raise UserError(f"{name} must be at least {low}, got {getattr(self, name)}")


@dataclass(frozen=True)
class Pairs:
    """A batch of pairs.

    Args:
        images: both digits, added and cut off at 255.
        labels: of the base digit, and of the one that was laid over it; they differ.
        singles: each digit alone, as it lies in the image: what the two reconstructions should be.

    Shapes:
        images `b c h w`, labels `b 2`, singles `b 2 c h w`.
    """

    images: UInt8[Tensor, "b c h w"]
    labels: Int[Tensor, "b 2"]
    singles: UInt8[Tensor, "b 2 c h w"]

    def __len__(self) -> int:
        return len(self.images)


def overlay(first: UInt8[Tensor, "*axes"], second: UInt8[Tensor, "*axes"]) -> UInt8[Tensor, "*axes"]:
    """Add two images, min(a + b, 255).

    Shapes:
        first, second and result of one shape.
    """
    # where the sum of two bytes exceeds 255, it has come round to less than either
    total = first + second
    return total.masked_fill(total < first, 255)


def draw_partners(labels: Int[Tensor, " b"], pool: Int[Tensor, " m"], generator: torch.Generator) -> Int[Tensor, " b"]:
    """Draw a partner of another class for each digit, every such digit of the pool as likely.

    Args:
        labels: of the base digits.
        pool: labels of all digits that may be a partner.
        generator: draws; on the device of both.

    Returns:
        Indices into the pool.

    Shapes:
        labels `b`, pool `m`, result `b`.

    Raises:
        UserError: the pool holds one class only.
    """
    order = pool.argsort(stable=True)
    counts = torch.bincount(pool, minlength=int(labels.max()) + 1)
    starts = counts.cumsum(0) - counts
    others = len(pool) - counts[labels]
    if int(others.min()) == 0:
        raise UserError("pairs need digits of at least two classes")
    # in the order of classes those of one class are a block: draw among the rest, and step over the block
    draws = torch.rand(len(labels), generator=generator, device=labels.device, dtype=torch.float64)
    places = (draws * others).long().clamp(max=others - 1)
    places = places + counts[labels] * (places >= starts[labels])
    return order[places]


def make_pairs(
    first: UInt8[Tensor, "b c h w"],
    second: UInt8[Tensor, "b c h w"],
    labels: Int[Tensor, "b 2"],
    shifts: Int[Tensor, "b 2 2"],
    padding: int,
) -> Pairs:
    """Pad two batches of digits, shift each digit by its own shift, and lay one over the other.

    Args:
        first: base digits.
        second: digits laid over them.
        labels: of both.
        shifts: of both, vertical and horizontal.
        padding: zeros on every side.

    Shapes:
        first and second `b c h w`, labels `b 2`, shifts `b 2 2`.
    """
    one, two = (
        shift_images(pad_images(digits, padding), shifts[:, place]) for place, digits in enumerate((first, second))
    )
    return Pairs(overlay(one, two), labels, torch.stack([one, two], dim=1))


def draw_pairs(
    images: Shaped[Tensor, "m c h w"],
    labels: Int[Tensor, " m"],
    chosen: Int[Tensor, " b"],
    pairing: Pairing,
    generator: torch.Generator,
) -> Pairs:
    """Give each chosen digit a partner and both a shift, all drawn anew.

    Args:
        images: single digits, all of the split.
        labels: of them.
        chosen: which of them are base digits.
        pairing: padding and shift.
        generator: draws partners, then the shifts of base digits and of partners; on the device of all.

    Shapes:
        images `m c h w`, labels `m`, chosen `b`.

    Example:
        >>> pairs = draw_pairs(data.images, data.labels, order[:128], Pairing(), generator)
    """
    partners = draw_partners(labels[chosen], labels, generator)
    shifts = torch.stack([draw_shifts(len(chosen), pairing.shift, generator) for _ in range(2)], dim=1)
    both = torch.stack([labels[chosen], labels[partners]], dim=1)
    return make_pairs(images[chosen], images[partners], both, shifts, pairing.padding)


def fixed_pairs(
    images: Shaped[Tensor, "m c h w"], labels: Int[Tensor, " m"], pairing: Pairing, batch_size: int = 128
) -> Iterator[Pairs]:
    """Go through the test set of pairs: `pairs_per_digit` rounds, in each of which every digit is the base once.

    The pairs come from the seed alone: neither device nor batch size changes them, and no more than a batch of images
    is held. The first rounds of a longer test set are those of a shorter one.

    Args:
        images: single digits, all of the split.
        labels: of them.
        pairing: padding, shift, rounds and seed.
        batch_size: pairs at a time; the last batch of a round may have fewer.

    Shapes:
        images `m c h w`, labels `m`.
    """
    on_cpu, device = labels.cpu(), images.device
    for number in range(pairing.pairs_per_digit):
        generator = torch.Generator().manual_seed(pairing.seed * 1_000_003 + number)
        partners = draw_partners(on_cpu, on_cpu, generator).to(device)
        shifts = torch.stack([draw_shifts(len(on_cpu), pairing.shift, generator) for _ in range(2)], dim=1).to(device)
        both = torch.stack([labels, labels[partners]], dim=1)
        for start in range(0, len(on_cpu), batch_size):
            part = slice(start, start + batch_size)
            yield make_pairs(images[part], images[partners[part]], both[part], shifts[part], pairing.padding)

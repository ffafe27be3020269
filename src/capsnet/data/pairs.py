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
        The base digit gets a new shift in each of its pairs; the authors' code shifts it once for all of its 1,000
        pairs. Partners are drawn with replacement. The 60 million training pairs are not a fixed set: each batch has
        new pairs. The test set has `pairs_per_digit` pairs for each digit; the paper's has 1,000.

    Args:
        padding: width of the zero padding on every side of each digit, added first.
        shift: the largest shift of each padded digit in pixels, in both directions (paper: 4; authors' command: 6).
        pairs_per_digit: number of pairs of each test digit.
        seed: seed of the test pairs.

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
        images: the sum of both digits, clipped at 255.
        labels: class of the base digit, and of the digit laid over it; they differ.
        singles: each digit alone, shifted as in the image: the targets of the two reconstructions.

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
        first, second and result have the same shape.
    """
    # where the sum of two bytes exceeds 255, it overflows to less than either
    total = first + second
    return total.masked_fill(total < first, 255)


def draw_partners(labels: Int[Tensor, " b"], pool: Int[Tensor, " m"], generator: torch.Generator) -> Int[Tensor, " b"]:
    """Draw a partner of another class for each digit, uniformly from all such digits of the pool.

    Args:
        labels: labels of the base digits.
        pool: labels of all digits that may be a partner.
        generator: random generator on the same device.

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
    # sorted by class, each class is a block: draw an index among the others, and skip the block
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
        labels: labels of both.
        shifts: shifts of both, vertical and horizontal.
        padding: width of the zero padding on every side.

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
    """Make one pair of each chosen digit, with a random partner and random shifts.

    Args:
        images: all single digits of the split.
        labels: their labels.
        chosen: indices of the base digits.
        pairing: padding and shift.
        generator: draws partners, then the shifts of base digits and of partners; on the same device.

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
    """Yield the test set of pairs: `pairs_per_digit` rounds, in each of which every digit is the base once.

    The pairs depend on the seed alone, not on device or batch size, and only one batch is in memory. A smaller
    `pairs_per_digit` gives the first rounds of a larger one.

    Args:
        images: all single digits of the split.
        labels: their labels.
        pairing: padding, shift, rounds and seed.
        batch_size: pairs in a batch; the last batch of a round may have fewer.

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

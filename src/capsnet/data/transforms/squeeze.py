"""Distortions of digits, each image by numbers of its own: squeezed, moved about in its frame, partly erased.

Mazzia, Salvetti, Chiaberge, "Efficient-CapsNet", Scientific Reports 2021, the authors' code for MNIST, which is that of
Byerly, Kalganova, Dear, "No routing needed between capsules", 2020.
"""

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from capsnet.data.transforms.affine import affine_images
from capsnet.data.transforms.shift import shift_images


def draw_squeezes(count: int, most: int, generator: torch.Generator) -> Int[Tensor, " m"]:
    """Draw by how many pixels each image is made narrower, from 0 to most, on the generator's device.

    Shapes:
        result `count`.
    """
    return torch.randint(most + 1, (count,), generator=generator, device=generator.device)


def squeeze_images(images: Shaped[Tensor, "b c s s"], pixels: Int[Tensor, " b"]) -> Shaped[Tensor, "b c s s"]:
    """Make each square image narrower by its own number of pixels, about its middle; zeros come in at both sides.

    Shapes:
        images `b c s s`, pixels `b`, result as images.
    """
    side = images.shape[-1]
    matrices = torch.eye(2, device=images.device).repeat(len(images), 1, 1)
    matrices[:, 0, 0] = (side - pixels) / side
    return affine_images(images, matrices, matrices.new_zeros(len(images), 2), side)


def draw_places(count: int, generator: torch.Generator) -> Float[Tensor, "m 2"]:
    """Draw a place for each image, from 0 (top, left) to 1 (bottom, right), on the generator's device.

    Shapes:
        result `count 2`.
    """
    return torch.rand(count, 2, generator=generator, device=generator.device)


def place_images(images: Shaped[Tensor, "b c h w"], places: Float[Tensor, "b 2"]) -> Shaped[Tensor, "b c h w"]:
    """Move all that is not black of each image to its own place; it stays in the frame.

    Shapes:
        images `b c h w`, places `b 2` (vertical, horizontal), from 0 to below 1, result as images.
    """
    shifts = [_shift(images.amax(dim=(1, axis)) > 0, places[:, k]) for k, axis in enumerate((3, 2))]
    return shift_images(images, torch.stack(shifts, dim=1))


def _shift(filled: Shaped[Tensor, "b s"], places: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
    """How far each row of marks may move, from as far to the start as there is room to as far to the end."""
    before, after = filled.int().argmax(dim=1), filled.flip(1).int().argmax(dim=1)
    # a black image does not move
    some = filled.any(dim=1)
    return torch.where(some, (places * (before + after + 1)).floor().long() - before, 0)


def erase_squares(
    images: Shaped[Tensor, "b c h w"], corners: Int[Tensor, "b 2"], side: int
) -> Shaped[Tensor, "b c h w"]:
    """Make a square black in each image, at its own place.

    Args:
        images: of one size.
        corners: row and column of each square's upper left pixel.
        side: of the squares.

    Shapes:
        images `b c h w`, corners `b 2`, result as images.
    """
    height, width = images.shape[2:]
    rows, columns = (_inside(size, corners[:, k, None], side) for k, size in enumerate((height, width)))
    return images * ~(rows[:, None, :, None] & columns[:, None, None, :])


def _inside(size: int, first: Int[Tensor, "b 1"], side: int) -> Bool[Tensor, "b s"]:
    steps = torch.arange(size, device=first.device)
    return (steps >= first) & (steps < first + side)

"""Squeeze: each image becomes narrower by a random number of pixels.

Mazzia, Salvetti, Chiaberge, "Efficient-CapsNet", Scientific Reports 2021, the authors' code for MNIST, which is that of
Byerly, Kalganova, Dear, "No routing needed between capsules", 2020.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from capsnet.bounds import whole
from capsnet.data.transforms.affine import affine_images
from capsnet.data.transforms.random import Distribution, check_distribution, draw_normal
from capsnet.data.transforms.transform import Shape, check_square
from capsnet.errors import UserError

# size of the Lanczos window, as in the authors' code
_LOBES = 3


@dataclass(frozen=True)
class Squeeze:
    """Make each square image narrower by up to `pixels`, with zero fill at both sides.

    Args:
        pixels: the largest reduction of the width.
        distribution: `"uniform"`: 0 to `pixels`, all equally likely, about the middle, bilinear interpolation.
            `"normal"`, as in the code of Efficient-CapsNet's authors: 1 to `pixels`, half-normal with a mean of about a
            third (2.4 of 7), resized with the Lanczos window, centred or (13 %) one pixel to the right.

    Raises:
        UserError: a value out of range; from `draw`, images that are not square or not wider than `pixels`.
    """

    pixels: int
    distribution: Distribution = "uniform"

    def __post_init__(self) -> None:
        whole(0, 4096).check("pixels", self.pixels)
        check_distribution(self.distribution)

    def draw(self, count: int, generator: torch.Generator, shape: Shape) -> Int[Tensor, " m"] | Int[Tensor, "m 2"]:
        """Draw the reduction of each image's width; if normal, also its number of zero columns at the left.

        Shapes:
            result `count`, if normal `count 2`.
        """
        check_square("Squeeze", shape)
        if self.pixels >= shape[2]:
            raise UserError(f"pixels of Squeeze must be below the width of the images, {shape[2]}, got {self.pixels}")
        draw = draw_half_normal_squeezes if self._is_normal else draw_squeezes
        return draw(count, self.pixels, generator)

    def apply(self, images: Shaped[Tensor, "b c s s"], draws: Int[Tensor, "b *_"]) -> Shaped[Tensor, "b c s s"]:
        """Make each image narrower by its own number of pixels.

        Shapes:
            images `b c s s`, draws `b` or `b 2`, result as images.
        """
        if self._is_normal:
            return resize_widths(images, draws[:, 0], draws[:, 1])
        return squeeze_images(images, draws)

    @property
    def _is_normal(self) -> bool:
        return self.distribution == "normal"


def draw_squeezes(count: int, most: int, generator: torch.Generator) -> Int[Tensor, " m"]:
    """Draw the reduction of each image's width, from 0 to `most` pixels, on the generator's device.

    Shapes:
        result `count`.
    """
    return torch.randint(most + 1, (count,), generator=generator, device=generator.device)


def draw_half_normal_squeezes(count: int, most: int, generator: torch.Generator) -> Int[Tensor, "m 2"]:
    """Draw the reduction of each image's width, from 1 to `most` pixels, and its number of zero columns at the left.

    Shapes:
        result `count 2`.
    """
    pixels = draw_normal(count, most, generator).abs().long() + 1
    # 0, or 1 for the largest numbers
    right = draw_normal(count, 2.0, generator).abs().long()
    return torch.stack([pixels, pixels // 2 + right], dim=1)


def squeeze_images(images: Shaped[Tensor, "b c s s"], pixels: Int[Tensor, " b"]) -> Shaped[Tensor, "b c s s"]:
    """Make each square image narrower by its own number of pixels, about its middle, with zero fill at both sides.

    Shapes:
        images `b c s s`, pixels `b`, result as images.
    """
    side = images.shape[-1]
    matrices = torch.eye(2, device=images.device).repeat(len(images), 1, 1)
    matrices[:, 0, 0] = (side - pixels) / side
    return affine_images(images, matrices, matrices.new_zeros(len(images), 2), side)


def resize_widths(
    images: Shaped[Tensor, "b c h w"], pixels: Int[Tensor, " b"], left: Int[Tensor, " b"]
) -> Shaped[Tensor, "b c h w"]:
    """Make each image narrower by its own number of pixels, antialiased with a Lanczos window of three lobes.

    Column x of the narrow image is the sum of the image's columns y, with the weights L((y + 1/2) / s - x - 1/2)
    divided by their sum, where s is the quotient of the widths and L(t) = sinc(t) sinc(t / 3) for |t| < 3.

    Args:
        images: bytes, to which the result is rounded and clipped, or floats.
        pixels: reduction of each image's width, below the width.
        left: number of zero columns left of each narrow image; the remaining ones are at its right.

    Shapes:
        images `b c h w`, pixels and left `b`, result as images.
    """
    width = images.shape[3]
    steps = torch.arange(width, device=images.device)
    narrow = (width - pixels)[:, None]
    columns = steps - left[:, None]  # b w
    distances = (steps + 0.5) * (narrow / width)[..., None] - (columns + 0.5)[..., None]  # b w w
    weights = distances.sinc() * (distances / _LOBES).sinc() * (distances.abs() < _LOBES)
    weights = weights / weights.sum(dim=2, keepdim=True)
    # outside of the narrow image all weights may be zero: replace NaN
    weights = torch.where(((columns >= 0) & (columns < narrow))[..., None], weights, 0.0)
    drawn = torch.einsum("bchy,bxy->bchx", images.float(), weights)
    return drawn.round().clamp(0, 255).to(torch.uint8) if images.dtype == torch.uint8 else drawn.to(images.dtype)

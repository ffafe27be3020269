"""Shift: each image moves by a random number of pixels.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 5: shifts of up to 2 pixels.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from capsnet.bounds import Bound
from capsnet.data.transforms.random import check_choice, draw_uniform
from capsnet.data.transforms.transform import Shape
from capsnet.errors import UserError

Interpolation = Literal["none", "nearest", "bilinear"]
Fill = Literal["zeros", "edge"]


@dataclass(frozen=True)
class Shift:
    """Shift each image by up to `pixels` vertically and horizontally.

    Keras' ImageDataGenerator with shifts by a tenth of the side corresponds to
    `Shift(2.8, interpolation="bilinear", fill="edge")` on MNIST; before pull request 8849 (December 2017), to
    `interpolation="nearest"`.

    Args:
        pixels: the largest shift, up and down as well as left and right.
        interpolation: `"none"`: shifts are uniform integers. `"nearest"` and `"bilinear"`: shifts are uniform real
            numbers, with this interpolation.
        fill: new pixels: `"zeros"`, or the repeated `"edge"` of the image.

    Raises:
        UserError: a negative or unknown value, or a fraction of a pixel without interpolation.
    """

    pixels: int | float
    interpolation: Interpolation = "none"
    fill: Fill = "zeros"

    def __post_init__(self) -> None:
        Bound(0, 4096).check("pixels", self.pixels)
        check_choice("interpolation", self.interpolation, get_args(Interpolation))
        check_choice("fill", self.fill, get_args(Fill))
        if self.interpolation == "none" and self.pixels != int(self.pixels):
            raise UserError(
                f"pixels must be a whole number without interpolation, got {self.pixels:g}; "
                'use interpolation="bilinear" for fractions of a pixel'
            )

    @property
    def is_plain(self) -> bool:
        """Whether shifts are whole pixels with zero fill."""
        return self.interpolation == "none" and self.fill == "zeros"

    def draw(self, count: int, generator: torch.Generator, shape: Shape) -> Shaped[Tensor, "m 2"]:
        """Draw a vertical and a horizontal shift for each image.

        Shapes:
            result `count 2`; integers without interpolation, else floats.
        """
        if self.interpolation == "none":
            return draw_shifts(count, int(self.pixels), generator)
        return draw_uniform(2 * count, -self.pixels, self.pixels, generator).view(count, 2)

    def apply(self, images: Shaped[Tensor, "b c h w"], draws: Shaped[Tensor, "b 2"]) -> Shaped[Tensor, "b c h w"]:
        """Move each image by its own shift.

        Shapes:
            images `b c h w`, draws `b 2`, result as images.
        """
        if self.interpolation == "bilinear":
            return shift_between_pixels(images, draws, fill=self.fill)
        shifts = draws if self.interpolation == "none" else draws.round().long()
        return shift_images(images, shifts, fill=self.fill)


def draw_shifts(count: int, most: int, generator: torch.Generator) -> Int[Tensor, "m 2"]:
    """Draw a vertical and a horizontal shift for each image, integers from -most to most, on the generator's device.

    Shapes:
        result `count 2`.
    """
    return torch.randint(-most, most + 1, (count, 2), generator=generator, device=generator.device)


def shift_images(
    images: Shaped[Tensor, "b c h w"], shifts: Int[Tensor, "b 2"], *, fill: Fill = "zeros"
) -> Shaped[Tensor, "b c h w"]:
    """Move each image down and to the right by its own whole number of pixels.

    Args:
        images: images of any type.
        shifts: vertical and horizontal shift of each image.
        fill: new pixels: zeros, or the repeated edge.

    Shapes:
        images `b c h w`, shifts `b 2`, result as images.
    """
    batch, _, height, width = images.shape
    rows = torch.arange(height, device=images.device) - shifts[:, :1]  # b h
    columns = torch.arange(width, device=images.device) - shifts[:, 1:]  # b w
    samples = torch.arange(batch, device=images.device)[:, None, None]
    moved = images[samples, :, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]
    if fill == "zeros":
        inside_rows = (rows >= 0) & (rows < height)
        inside_columns = (columns >= 0) & (columns < width)
        moved = moved * (inside_rows[:, :, None] & inside_columns[:, None, :])[..., None]  # b h w c
    return moved.permute(0, 3, 1, 2)


def shift_between_pixels(
    images: Shaped[Tensor, "b c h w"], shifts: Float[Tensor, "b 2"], *, fill: Fill = "zeros"
) -> Shaped[Tensor, "b c h w"]:
    """Move each image down and to the right by its own real number of pixels, with bilinear interpolation.

    Args:
        images: bytes, to which the result is rounded, or floats.
        shifts: vertical and horizontal shift of each image.
        fill: new pixels: zeros, or the repeated edge.

    Shapes:
        images `b c h w`, shifts `b 2`, result as images.
    """
    # rows are shifted as columns of the transposed image
    moved = _shift_columns(images.float().transpose(2, 3), shifts[:, 0], fill).transpose(2, 3)
    moved = _shift_columns(moved, shifts[:, 1], fill)
    return moved.round().to(torch.uint8) if images.dtype == torch.uint8 else moved.to(images.dtype)


def _shift_columns(images: Float[Tensor, "b c h w"], shifts: Float[Tensor, " b"], fill: Fill) -> Tensor:
    whole = shifts.floor()
    columns = torch.arange(images.shape[3], device=images.device) - whole.long()[:, None]  # b w
    first, second = (_take_columns(images, columns - k, fill) for k in (0, 1))
    return torch.lerp(first, second, (shifts - whole)[:, None, None, None])


def _take_columns(images: Float[Tensor, "b c h w"], columns: Int[Tensor, "b w"], fill: Fill) -> Tensor:
    last = images.shape[3] - 1
    taken = images.gather(3, columns.clamp(0, last)[:, None, None].expand(images.shape))
    return taken * ((columns >= 0) & (columns <= last))[:, None, None] if fill == "zeros" else taken

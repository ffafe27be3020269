"""Convert scikit-learn arrays to images of 256 levels and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from capsnet.data.arrays import channels_first, describe_values, to_pixels
from capsnet.data.pixels import check_range, check_units
from capsnet.errors import UserError

Array = NDArray[Any]

# integers whose largest value is below this are not interpreted as 0 to 255
_LEAST_OF_BYTES = 26


@dataclass(frozen=True)
class Layout:
    """The layout of images in an array.

    Args:
        shape: shape of one image in the array: a number of values, or two or three sides.
        image_shape: shape of one image: two or three sides.
        pixel_range: values that become 0 and 255.
    """

    shape: tuple[int, ...]
    image_shape: tuple[int, ...]
    pixel_range: tuple[float, float]

    @classmethod
    def of(cls, array: Array, image_shape: Sequence[int] | None, pixel_range: tuple[float, float] | None) -> "Layout":
        """The layout of training images.

        Args:
            array: images, or rows of values.
            image_shape: shape of the images in rows; None: square images, or images of one row.
            pixel_range: values that become 0 and 255; None: 0 and 255 for uint8, and for integers whose largest is
                from 26 to 255; 0 and 1 for values within this range; else the smallest and the largest value.

        Raises:
            UserError: rows or images that do not have the shape `image_shape`.
        """
        shape = array.shape[1:]
        if image_shape is None:
            side = isqrt(shape[0])
            image_shape = shape if len(shape) > 1 else (side, side) if side * side == shape[0] else (1, shape[0])
        elif len(image_shape) not in (2, 3):
            raise UserError(f"image_shape must be two or three sides, got {tuple(image_shape)}")
        if int(np.prod(image_shape)) != int(np.prod(shape)) or (len(shape) > 1 and tuple(image_shape) != shape):
            what = f"rows of {shape[0]} values" if len(shape) == 1 else f"images of shape {shape}"
            raise UserError(f"image_shape is {tuple(image_shape)}, but X holds {what}; give the shape of one image")
        if pixel_range is not None:
            check_range(pixel_range)
        return cls(shape, tuple(image_shape), pixel_range or _choose_range(array))

    def to_pixels(self, array: Array) -> UInt8[Tensor, "m c h w"]:
        """The images of an array; values outside the range are clipped.

        Raises:
            UserError: images of another shape, or values in other units.

        Shapes:
            array: see `shape`; result `m c h w`.
        """
        if array.shape[1:] != self.shape:
            raise UserError(f"X holds images of shape {array.shape[1:]}, the classifier was trained on {self.shape}")
        images = channels_first(array.reshape(len(array), *self.image_shape))
        if array.dtype == np.uint8 and self.pixel_range == (0, 255):
            return to_pixels(images, None)
        check_units(describe_values(images), self.pixel_range)
        return to_pixels(images, self.pixel_range)

    def to_array(self, images: Array) -> Array:
        """Convert images with values from 0 to 1 to this layout and its units.

        Shapes:
            images `m c h w`, result `m` and the layout's `shape`.
        """
        low, high = self.pixel_range
        # the layout is channels-last
        if len(self.image_shape) == 3 and self.image_shape != images.shape[1:]:
            images = images.transpose(0, 2, 3, 1)
        return (low + images.clip(0, 1) * (high - low)).reshape(len(images), *self.shape)

    def share_beyond(self, array: Array) -> float:
        """Share of values outside the range."""
        low, high = self.pixel_range
        return float(((array < low) | (array > high)).mean())


def _choose_range(array: Array) -> tuple[float, float]:
    if array.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(array.min()), float(array.max())
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    # scikit-learn's digits are whole numbers up to 16
    if low >= 0 and _LEAST_OF_BYTES <= high <= 255 and bool((array == np.floor(array)).all()):
        return 0.0, 255.0
    # if all values are equal
    return low, high if high > low else low + 1

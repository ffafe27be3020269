"""Pixels of more than 8 bits: which values become black and white, decided once for all files of a data set."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from capsnet.errors import UserError

Preparation = Literal["digit", "fit"]
PixelRange = tuple[float, float]
_DEPTHS = (10, 12, 14, 16)
# floats whose largest value is between this and 255 are interpreted as 0 to 255
LEAST_OF_255 = 25.5
# integers from here on do not fit a range of 0 to 255: most of them would be white
_SATURATED = 1023


@dataclass(frozen=True)
class ImageInfo:
    """Header information of an image file, and the extreme values of a deep file.

    Args:
        name: the file's name, for messages.
        width: width of the upright image in pixels.
        height: height of the upright image in pixels.
        mode: Pillow's mode of the stored pixels.
        color: whether it may hold colours.
        frames: number of pages of a document, or frames of an animation.
        deep: whether values have more than 8 bits or are floats.
        low: the smallest value of a deep file.
        high: the largest value of a deep file.
        notes: sentences for the user about how the file is read.
    """

    name: str
    width: int
    height: int
    mode: str
    color: bool
    frames: int = 1
    deep: bool = False
    low: float = 0.0
    high: float = 255.0
    notes: tuple[str, ...] = ()


def check_range(pixel_range: PixelRange) -> None:
    """Check that a range is two finite numbers in ascending order.

    Raises:
        UserError: it is not.
    """
    low, high = pixel_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UserError(f"pixel_range must be two finite numbers, the smaller one first, got {low:g} and {high:g}")


def decide_range(infos: Iterable[ImageInfo]) -> PixelRange | None:
    """Choose the values that become black and white, once for all files of a data set; None if no file is deep.

    - Integers from 0 to 65535: 0 to the largest value of 10, 12, 14 or 16 bits, the first that holds all values.
    - Other integers (signed, or of 32 bits): their smallest to their largest value.
    - Floats: 0 to 1 if all values lie there; 0 to 255 if all lie there and the largest is at least 25.5; else
      their smallest to their largest value.

    Files of 8 bits are ignored: in all of them 0 is black and 255 is white.

    Raises:
        UserError: floats up to 1 or 255 together with larger integers, which no single range fits.
    """
    deep = [info for info in infos if info.deep]
    floats = [info for info in deep if info.mode == "F"]
    integers = [info for info in deep if info.mode != "F"]
    if not deep:
        return None
    if not floats:
        return _range_of_integers(integers)
    chosen = _range_of_floats(floats)
    if not integers:
        return chosen
    brightest = max(integers, key=lambda info: info.high)
    if chosen in ((0.0, 1.0), (0.0, 255.0)) and brightest.high > chosen[1]:
        raise UserError(
            f"{floats[0].name} holds floats up to {chosen[1]:g}, {brightest.name} integers up to {brightest.high:g}: "
            "no single range fits both; convert the files to one type, or give pixel_range"
        )
    return _real_range(deep)


def _range_of_integers(infos: Sequence[ImageInfo]) -> PixelRange:
    low, high = _extremes(infos)
    if low < 0 or high > 65535:
        return _real_range(infos)
    return 0.0, next(2.0**bits - 1 for bits in _DEPTHS if high < 2**bits)


def _range_of_floats(infos: Sequence[ImageInfo]) -> PixelRange:
    low, high = _extremes(infos)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and LEAST_OF_255 <= high <= 255:
        return 0.0, 255.0
    return _real_range(infos)


def _extremes(infos: Sequence[ImageInfo]) -> PixelRange:
    return min(info.low for info in infos), max(info.high for info in infos)


def _real_range(infos: Sequence[ImageInfo]) -> PixelRange:
    low, high = _extremes(infos)
    # a data set whose images have one value
    return low, high if high > low else max(low + 1, math.nextafter(low, math.inf))


def check_units(info: ImageInfo, pixel_range: PixelRange) -> None:
    """Check that a deep file's values fit a range that was chosen for other files.

    Raises:
        UserError: floats up to 1 with a range of integers, or integers, or floats that reach 10 % of 255, with a range
            of 0 to 1, or integers of 10 bits and more with a range of 0 to 255: much of the image would be white.
    """
    low, high = pixel_range
    dark = info.mode == "F" and info.low >= 0 and 0.5 <= info.high <= 1 and high - low >= 255
    # floats may exceed 1: resampling overshoots, and a scaler knows the training images only
    largest = 1 if info.mode != "F" else LEAST_OF_255
    light = info.high > largest and (low, high) == (0, 1)
    # a value a little above 255 may come from resampling
    light = light or (info.mode != "F" and info.high >= _SATURATED and (low, high) == (0, 255))
    if dark or light:
        raise UserError(
            f"{info.name}: its values are {info.low:g} to {info.high:g}, but {low:g} is black and {high:g} is white "
            "here (pixel_range); scale its values to that range first"
        )

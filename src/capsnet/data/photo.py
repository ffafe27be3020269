"""The digit in a drawing, scan or photo, made to look as MNIST's do.

LeCun, Cortes, Burges, "The MNIST database of handwritten digits": the digit is scaled into 20x20 with its aspect kept,
and set with its centre of mass into the middle of 28x28.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy import ndimage

_WORK_SIDE = 640
_BOX_SHARE = 20 / 28
_FAINTEST = 8.0


@dataclass(frozen=True)
class CenteredDigit:
    """A digit that was found, and where.

    Args:
        image: light strokes on black, in the frame.
        box: left, top, right and bottom of the digit in the given image; None where there is no digit.
    """

    image: Image.Image
    box: tuple[int, int, int, int] | None


def center_digit(image: Image.Image, height: int = 28, width: int = 28) -> CenteredDigit:
    """Find the digit in an image and set it into a frame as MNIST's were.

    The paper is a smooth surface through the image, so a shadow does not matter; what differs from it by more than
    its noise is ink, lighter or darker, whichever is stronger; specks beside the digit are left out. An image that has
    the frame's size and looks like MNIST's already stays as it is.

    Args:
        image: of any size and mode.
        height: of the frame.
        width: of the frame.

    Example:
        >>> center_digit(Image.new("L", (50, 50), 255)).box is None
        True
    """
    grey = image.convert("L")
    shrink = max(1.0, max(grey.size) / _WORK_SIDE)
    if shrink > 1:
        small = (max(1, round(grey.width / shrink)), max(1, round(grey.height / shrink)))
        grey = grey.resize(small, Image.Resampling.BOX)
    ink, mask = _find_ink(np.asarray(grey, np.float32))
    if not mask.any():
        return CenteredDigit(Image.new("L", (width, height), 0), None)
    rows, columns = np.nonzero(mask)
    left, top, right, bottom = (int(value) for value in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    scale_x, scale_y = image.width / grey.width, image.height / grey.height
    box = (int(left * scale_x), int(top * scale_y), round(right * scale_x), round(bottom * scale_y))
    if image.size == (width, height) and _is_centered(ink, (right - left, bottom - top)):
        return CenteredDigit(Image.fromarray(ink.round().astype(np.uint8)), box)
    return CenteredDigit(_frame(ink[top:bottom, left:right], height, width), box)


def _find_ink(grey: Float[np.ndarray, "h w"]) -> tuple[Float[np.ndarray, "h w"], np.ndarray]:
    """How much ink is at each place, 0 to 255, and which places belong to the digit."""
    difference = grey - _paper(grey)
    spread = 1.4826 * float(np.median(np.abs(difference - np.median(difference))))
    smooth = ndimage.gaussian_filter(difference, 0.7) if spread > 0.5 else difference
    ink = smooth if smooth.max() > -smooth.min() else -smooth
    peak = float(np.percentile(ink[ink > 0.5 * ink.max()], 75)) if ink.max() > 0 else 0.0
    if peak < max(_FAINTEST, 4 * spread):
        return np.zeros_like(grey), np.zeros(grey.shape, bool)
    # what noise reaches is paper
    floor = min(2.0 * spread, 0.3 * peak)
    ink = ((ink - floor) * (255 / (peak - floor))).clip(0, 255)
    mask = _without_specks(ink > 0.2 * 255)
    near = ndimage.binary_dilation(mask, iterations=2)
    return np.where(near, ink, 0).astype(np.float32), mask


def _paper(grey: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """The paper's grey at each place: the border's median, and for larger images a surface of second degree."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    flat = np.full_like(grey, np.median(border))
    spread = float(np.percentile(border, 90) - np.percentile(border, 10))
    if min(grey.shape) < 40 or spread < 12:
        return flat
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in grey.shape), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1)
    step = max(1, max(grey.shape) // 64)
    few, values = terms[::step, ::step].reshape(-1, 6), grey[::step, ::step].ravel()
    kept = np.ones(len(values), bool)
    for _ in range(8):
        factors = np.linalg.lstsq(few[kept], values[kept], rcond=None)[0]
        off = np.abs(values - few @ factors)
        kept = off <= max(2.5 * float(np.median(off)), 2.0)
    surface: Float[np.ndarray, "h w"] = (terms @ factors).astype(np.float32)
    return surface


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """The largest piece and those of at least a twelfth of its size."""
    pieces, count = ndimage.label(mask, np.ones((3, 3)))
    if count < 2:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept: np.ndarray = (sizes >= sizes.max() / 12)[pieces]
    return kept


def _is_centered(ink: Float[np.ndarray, "h w"], size: tuple[int, int]) -> bool:
    """Whether ink lies in its frame as MNIST's does; a pixel on each side may be too faint to be in the box."""
    center = np.array(ndimage.center_of_mass(ink))
    side = round(min(ink.shape) * _BOX_SHARE)
    return side - 2 <= max(size) <= side and bool((np.abs(center - (np.array(ink.shape) - 1) / 2) <= 1.0).all())


def _frame(ink: Float[np.ndarray, "h w"], height: int, width: int) -> Image.Image:
    side = max(1, round(min(height, width) * _BOX_SHARE))
    digit = Image.fromarray(ink.round().astype(np.uint8))
    factor = side / max(digit.size)
    size = (max(1, round(digit.width * factor)), max(1, round(digit.height * factor)))
    # below 1 this averages, above it is smooth
    digit = digit.resize(size, Image.Resampling.LANCZOS)
    row, column = ndimage.center_of_mass(np.asarray(digit, np.float32) + 1e-6)
    left = min(max(round((width - 1) / 2 - column), 0), width - digit.width)
    top = min(max(round((height - 1) / 2 - row), 0), height - digit.height)
    frame = Image.new("L", (width, height), 0)
    frame.paste(digit, (left, top))
    return frame

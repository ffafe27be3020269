"""Extract the digit from a drawing, scan or photo, and normalise it as in MNIST.

LeCun, Cortes, Burges, "The MNIST database of handwritten digits": the digit is scaled into 20x20 with its aspect kept,
and its centre of mass is moved to the middle of 28x28.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from capsnet.data.regions import Grey, center_of_mass, dilate, find_box, label, smooth
from capsnet.errors import UserError

# side to which larger images are scaled down first
WORK_SIDE = 640
# side of the box around a digit in frames of 28 or more; in smaller frames it is scaled with the frame
_BOX, _FRAME = 20, 28
# smallest difference between ink and paper, in grey levels of 255
_FAINTEST = 8.0
# below this ratio of ink to noise, the image may be a digit that covers much of it
_NOISY = 12.0
# above this share of variance between ink and paper and this correlation of neighbours, an image is not noise
_SEPARATE, _RELATED = 0.735, 0.35
# above this share of variance explained by a smooth surface, an image is unevenly lit paper without ink
_SMOOTH = 0.93
# largest difference of greys around a rotated photo, and smallest share of its rectangle that a photo covers
_EVEN, _RECTANGULAR = 12, 0.96


@dataclass(frozen=True)
class CenteredDigit:
    """A digit cut out of an image.

    Args:
        image: the digit in its frame, light strokes on black.
        box: left, top, right and bottom of the digit in the original image; None if there is no digit.
        pieces: number of large pieces of ink side by side; above 1 usually means several digits or letters.
    """

    image: Image.Image
    box: tuple[int, int, int, int] | None
    pieces: int = 0


def center_digit(image: Image.Image, height: int = 28, width: int = 28) -> CenteredDigit:
    """Find the digit in an image and centre it in a frame as in MNIST.

    The paper is modelled as a smooth surface, so shadows do not matter. Pixels that differ from it by more than its
    noise are ink, lighter or darker, whichever is stronger; specks beside the digit are removed. If the digit fills its
    image, Otsu's threshold separates ink from paper. Uniform corners of a rotated photo are ignored. An image that has
    the frame's size and already looks like MNIST stays unchanged.

    Args:
        image: an image of any size and mode.
        height: height of the frame.
        width: width of the frame.

    Example:
        >>> center_digit(Image.new("L", (50, 50), 255)).box is None
        True
    """
    grey = image.convert("L")
    shrink = max(1.0, max(grey.size) / WORK_SIDE)
    if shrink > 1:
        small = (max(1, round(grey.width / shrink)), max(1, round(grey.height / shrink)))
        grey = grey.resize(small, Image.Resampling.BOX)
    pixels = np.asarray(grey, np.float32)
    filled = _fill_corners(pixels)
    ink, mask = _find_ink(filled)
    if not mask.any() and filled is not pixels:
        # the supposed photo was a stroke
        ink, mask = _find_ink(pixels)
    if not mask.any():
        return CenteredDigit(Image.new("L", (width, height), 0), None)
    rows, columns = np.nonzero(mask)
    left, top, right, bottom = (int(value) for value in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    scale_x, scale_y = image.width / grey.width, image.height / grey.height
    box = (int(left * scale_x), int(top * scale_y), round(right * scale_x), round(bottom * scale_y))
    pieces = _count_pieces(mask)
    if image.size == (width, height) and _is_centered(ink, (right - left, bottom - top)):
        return CenteredDigit(Image.fromarray(ink.round().astype(np.uint8)), box, pieces)
    return CenteredDigit(_frame(ink[top:bottom, left:right], height, width), box, pieces)


def _find_ink(grey: Grey) -> tuple[Grey, np.ndarray]:
    """The amount of ink of each pixel, 0 to 255, and the mask of the digit's pixels."""
    difference = grey - _paper(grey)
    spread = _spread(difference)
    calm = smooth(difference, 0.7) if spread > 0.5 else difference
    ink = calm if calm.max() > -calm.min() else -calm
    peak = _peak(ink)
    # ink that covers much of the image counts as noise above; two separate greys are still paper and ink
    divided = _divide_greys(grey) if peak < max(_FAINTEST, _NOISY * spread) else None
    if divided is not None:
        ink, spread = divided
        peak = _peak(ink)
    if peak < _FAINTEST or (divided is None and peak < 4 * spread):
        return np.zeros_like(grey), np.zeros(grey.shape, bool)
    # values within the noise are paper
    floor = min(2.0 * spread, 0.3 * peak)
    ink = ((ink - floor) * (255 / (peak - floor))).clip(0, 255)
    mask = _without_specks(ink > 0.2 * 255)
    near = dilate(mask, 2)
    return np.where(near, ink, 0).astype(np.float32), mask


def _median(values: np.ndarray) -> float:
    """`np.median`, which would import the masked arrays of NumPy, 0.03 s."""
    middle = (values.size - 1) // 2, values.size // 2
    ordered = np.partition(values, middle, axis=None)
    return float(ordered[middle[0] : middle[1] + 1].mean())


def _spread(values: np.ndarray) -> float:
    """Standard deviation of noise around the median; outliers, such as ink on much paper, do not count."""
    return 1.4826 * _median(np.abs(values - _median(values)))


def _peak(ink: Grey) -> float:
    """The amount of ink in the middle of a stroke."""
    return float(np.percentile(ink[ink > 0.5 * ink.max()], 75)) if ink.max() > 0 else 0.0


def _divide_greys(grey: Grey) -> tuple[Grey, float] | None:
    """Ink and the paper's noise by Otsu's threshold, for a tightly cropped digit; None without two distinct greys.

    Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. SMC 1979. Ink is the group that is
    rarer on the border than inside.
    """
    threshold, separation = _otsu(grey)
    if separation < _SEPARATE or _neighbor_correlation(grey) < _RELATED or _smooth_share(grey) > _SMOOTH:
        return None
    light = grey > threshold
    light_ink = light.mean() > np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]]).mean()
    paper = grey[light != light_ink]
    ink = grey - _median(paper)
    return (ink if light_ink else -ink), _spread(paper)


def _otsu(grey: Grey) -> tuple[float, float]:
    """The threshold between two groups of greys, and the share of the variance that lies between the groups.

    The share is 0.64 for a normal, 0.75 for an even distribution of greys, and 1 for two greys.
    """
    low, high = float(grey.min()), float(grey.max())
    if high <= low:
        return low, 0.0
    counts, edges = np.histogram(grey, 256, (low, high))
    centers, below = (edges[:-1] + edges[1:]) / 2, counts.cumsum()[:-1]
    sums = (counts * centers).cumsum()
    above = grey.size - below
    between = below * above * (sums[:-1] / below.clip(1) - (sums[-1] - sums[:-1]) / above.clip(1)) ** 2
    best = int(between.argmax())
    return float(edges[best + 1]), float(between[best] / grey.size**2 / grey.var())


def _neighbor_correlation(grey: Grey) -> float:
    """Correlation of neighbouring pixels, the larger one of both directions: 0 for noise, 1 for a smooth surface."""
    differences = [np.diff(grey, axis=axis) for axis in (0, 1) if grey.shape[axis] > 1]
    return max((1 - float((part**2).mean() / (2 * grey.var() + 1e-9)) for part in differences), default=0.0)


def _smooth_share(grey: Grey) -> float:
    """Share of the variance that a quadratic surface explains: near 1 for unevenly lit paper without ink."""
    step = max(1, max(grey.shape) // 64)
    few = grey[::step, ::step]
    terms = _surface_terms(few.shape).reshape(-1, 6)
    rest = few.ravel() - terms @ np.linalg.lstsq(terms, few.ravel(), rcond=None)[0]
    return 1 - float(rest.var() / (few.var() + 1e-9))


def _fill_corners(grey: Grey) -> Grey:
    """Fill the uniform corners around a rotated photo with the paper beside them."""
    corners = grey[[0, 0, -1, -1], [0, -1, 0, -1]]
    if min(grey.shape) < 40:
        return grey
    if np.ptp(corners) > _EVEN or not (corners.max() <= _EVEN or corners.min() >= 255 - _EVEN):
        return grey
    even, _ = label(np.abs(grey - _median(corners)) <= 2 * _EVEN)
    outside = np.isin(even, np.unique(even[[0, 0, -1, -1], [0, -1, 0, -1]]))
    pieces, count = label(~outside)
    if count == 0:
        return grey
    photo = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    if not _is_turned_rectangle(photo):
        return grey
    return _fill(grey, photo)


def _fill(grey: Grey, photo: np.ndarray) -> Grey:
    """Fill what lies outside a region with the nearest of its pixels."""
    # imported late: it takes 0.15 s, and few photos are turned
    try:
        from scipy import ndimage
    except ModuleNotFoundError:
        raise UserError("a photo with even corners around it needs the package scipy: pip install scipy") from None
    # blur and compression extend beyond the edge
    inside = ndimage.binary_erosion(photo, iterations=2 + max(grey.shape) // 100, border_value=1)
    if not inside.any():
        return grey
    rows, columns = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    filled: Grey = grey[rows, columns]
    return filled


def _is_turned_rectangle(mask: np.ndarray) -> bool:
    """Whether a region is a rotated rectangle, possibly cut off by the image's frame."""
    step = max(1, max(mask.shape) // 64)
    few = mask[::step, ::step]
    if few.all() or few.mean() < 0.25:
        return False
    y, x = np.indices(few.shape, np.float32).reshape(2, -1)
    angles = np.deg2rad(np.arange(-45, 45).astype(np.float32))[:, None]
    inside, covered = few.ravel(), np.ones((len(angles), few.size), bool)
    for across in (x * np.cos(angles) + y * np.sin(angles), y * np.cos(angles) - x * np.sin(angles)):
        part = across[:, inside]
        covered &= (across >= part.min(axis=1, keepdims=True)) & (across <= part.max(axis=1, keepdims=True))
    return bool(inside.sum() >= _RECTANGULAR * covered.sum(axis=1).min())


def _paper(grey: Grey) -> Grey:
    """The paper's grey at each pixel: the border's median, and for larger images a quadratic surface."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    flat = np.full_like(grey, _median(border))
    spread = float(np.percentile(border, 90) - np.percentile(border, 10))
    if min(grey.shape) < 40 or spread < 12:
        return flat
    terms = _surface_terms(grey.shape)
    step = max(1, max(grey.shape) // 64)
    few, values = terms[::step, ::step].reshape(-1, 6), grey[::step, ::step].ravel()
    kept = np.ones(len(values), bool)
    for _ in range(8):
        factors = np.linalg.lstsq(few[kept], values[kept], rcond=None)[0]
        off = np.abs(values - few @ factors)
        kept = off <= max(2.5 * _median(off), 2.0)
    surface: Grey = (terms @ factors).astype(np.float32)
    return surface


def _surface_terms(shape: tuple[int, ...]) -> NDArray[np.float64]:
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1)


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """The largest piece and those of at least a twelfth of its size."""
    pieces, count = label(mask, diagonal=True)
    if count < 2:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept: np.ndarray = (sizes >= sizes.max() / 12)[pieces]
    return kept


def _count_pieces(mask: np.ndarray) -> int:
    """How many large pieces stand side by side; those above one another, such as the bar of a 5, count as one."""
    pieces, number = label(mask, diagonal=True)
    sizes = np.bincount(pieces.ravel())[1:]
    boxes = [find_box(pieces == k + 1) for k in range(number)]
    tall = max(rows.stop - rows.start for rows, _ in boxes)
    spans = sorted(
        (columns.start, columns.stop)
        for (rows, columns), size in zip(boxes, sizes, strict=True)
        if size >= 0.2 * sizes.max() and rows.stop - rows.start >= 0.4 * tall
    )
    count, end, width = 0, 0, 0
    for start, stop in spans:
        # pieces whose columns overlap by more than a quarter of the narrower one are above one another
        if count == 0 or end - start <= 0.25 * min(width, stop - start):
            count, width = count + 1, stop - start
        else:
            width = max(width, stop - start)
        end = max(end, stop)
    return count


def _is_centered(ink: Grey, size: tuple[int, int]) -> bool:
    """Whether the ink is placed as in MNIST; one pixel on each side may be too faint to be in the box."""
    center = np.array(center_of_mass(ink))
    side = _box_side(*ink.shape)
    return side - 2 <= max(size) <= side and bool((np.abs(center - (np.array(ink.shape) - 1) / 2) <= 1.0).all())


def _box_side(height: int, width: int) -> int:
    return max(1, min(_BOX, round(min(height, width) * _BOX / _FRAME)))


def _frame(ink: Grey, height: int, width: int) -> Image.Image:
    side = _box_side(height, width)
    digit = Image.fromarray(ink.round().astype(np.uint8))
    factor = side / max(digit.size)
    size = (max(1, round(digit.width * factor)), max(1, round(digit.height * factor)))
    # averages when scaling down, smooth when scaling up
    digit = digit.resize(size, Image.Resampling.LANCZOS)
    row, column = center_of_mass(np.asarray(digit, np.float32) + 1e-6)
    left = min(max(round((width - 1) / 2 - column), 0), width - digit.width)
    top = min(max(round((height - 1) / 2 - row), 0), height - digit.height)
    frame = Image.new("L", (width, height), 0)
    frame.paste(digit, (left, top))
    return frame

"""Regions of a mask, and filters of a grey image, as SciPy's `ndimage` computes them, in NumPy.

Importing `scipy.ndimage` takes 0.15 s, a third of what `capsnet predict model.onnx IMAGE` took with it.
"""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Grey = NDArray[np.float32]
Labels = NDArray[np.intp]


def label(mask: Mask, *, diagonal: bool = False) -> tuple[Labels, int]:
    """Number the connected regions of a mask from 1, by the order of their first pixels.

    Args:
        mask: `h w`.
        diagonal: whether pixels that touch at a corner are connected.

    Returns:
        The number of each pixel's region, 0 outside, and how many regions there are.
    """
    row = mask.shape[1] + 2
    steps = np.diff(np.pad(mask, 1)[1:-1].astype(np.int8), axis=1, append=0)
    # runs of pixels by their first position and the one after their last, counted over all rows
    start, stop = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    # the runs in the row above that each run touches
    first = np.searchsorted(stop, start - row - diagonal, side="right")
    last = np.searchsorted(start, stop - row + diagonal, side="left")
    counts = np.maximum(last - first, 0)
    lower = np.repeat(np.arange(len(start)), counts)
    upper = np.arange(len(lower)) + np.repeat(first - counts.cumsum() + counts, counts)
    root = np.arange(len(start))
    while (differ := root[lower] != root[upper]).any():
        one, other = root[lower[differ]], root[upper[differ]]
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while (root[root] != root).any():
            root = root[root]
    roots, number = np.unique(root, return_inverse=True)
    labels = np.zeros(mask.shape, np.intp)
    labels[mask] = np.repeat(number + 1, stop - start)
    return labels, len(roots)


def find_box(region: Mask) -> tuple[slice, slice]:
    """The rows and columns that hold a region with at least one pixel."""
    lines = (np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0)))
    rows, columns = (slice(int(line[0]), int(line[-1]) + 1) for line in lines)
    return rows, columns


def dilate(mask: Mask, iterations: int) -> Mask:
    """Add the four neighbours of each pixel of a mask, `iterations` times."""
    for _ in range(iterations):
        grown = mask.copy()
        grown[1:] |= mask[:-1]
        grown[:-1] |= mask[1:]
        grown[:, 1:] |= mask[:, :-1]
        grown[:, :-1] |= mask[:, 1:]
        mask = grown
    return mask


def smooth(grey: Grey, sigma: float) -> Grey:
    """Convolve with a Gaussian of this standard deviation, cut off at four of them; the image is mirrored outside."""
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 / sigma**2 * np.arange(radius + 1) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    for axis in (0, 1):
        wide = np.pad(grey.astype(np.float64), [(radius, radius) if axis == k else (0, 0) for k in (0, 1)], "symmetric")
        size = grey.shape[axis]
        parts = [wide.take(range(offset, offset + size), axis) for offset in range(2 * radius + 1)]
        total = parts[radius] * weights[0]
        # from the outermost inwards: the order of SciPy, whose last digits these are
        for distance in range(radius, 0, -1):
            total += (parts[radius - distance] + parts[radius + distance]) * weights[distance]
        grey = total.astype(np.float32)
    return grey


def center_of_mass(grey: Grey) -> tuple[float, float]:
    """The mean row and column of an image's pixels, by their values."""
    total = grey.sum()
    grids = np.ogrid[: grey.shape[0], : grey.shape[1]]
    row, column = (float((grey * grid.astype(np.float64)).sum() / total) for grid in grids)
    return row, column

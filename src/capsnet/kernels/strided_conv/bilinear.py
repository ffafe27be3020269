"""Short correlations with few multiplications, for one axis of a strided convolution.

Toom, 1963; Cook, 1966; Winograd, "Arithmetic Complexity of Computations", SIAM 1980: m outputs of a correlation with
r taps need only m + r - 1 multiplications. In matrix form, $y = A^T\\,[(G g) \\odot (T d)]$.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

# small numbers and reciprocal pairs keep the entries of the three matrices near 1 (README.md: how they were chosen)
POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(2), Fraction(-1, 2), Fraction(-2), Fraction(1, 2))
MAX_POINTS = len(POINTS) + 1
"""The points above, and infinity. With more of them the rounding error leaves that of a direct convolution."""


@dataclass(frozen=True)
class Axis:
    """The bilinear algorithm of one axis, with its phases and tiles.

    Phase f holds the places f, f + stride, f + 2 stride, ...: a strided correlation is a sum over phases of plain ones.
    Tile t computes outputs t m to (t + 1) m - 1. Point p belongs to the first phases only, those with enough taps.

    Attributes:
        points: how many points each phase uses, never increasing.
        tiles: number of tiles.
        outputs: number of outputs.
        image: T, `phases points tiles size`: from places to points.
        window: G, `phases points k`: from taps to points.
        result: A, `points tiles outputs`: from points to outputs; it does not depend on the phase.
    """

    points: tuple[int, ...]
    tiles: int
    outputs: int
    image: Float64[np.ndarray, "phases points tiles size"]
    window: Float64[np.ndarray, "phases points k"]
    result: Float64[np.ndarray, "points tiles outputs"]

    @property
    def products(self) -> int:
        """Multiplications this axis needs; the direct way needs outputs times taps."""
        return self.tiles * sum(self.points)


def tile_size(size: int, taps: int, stride: int) -> int:
    """The number of outputs per tile that needs the fewest multiplications with at most `MAX_POINTS` points.

    Returns 0 where even one output needs too many points. Of two equal sizes the smaller one wins: it rounds less.
    """
    outputs = (size - taps) // stride + 1
    phases = [phase_taps(taps, stride, phase) for phase in range(min(stride, taps))]
    costs = {
        outputs_per_tile: -(-outputs // outputs_per_tile) * sum(outputs_per_tile + r - 1 for r in phases)
        for outputs_per_tile in range(1, min(outputs, MAX_POINTS - phases[0] + 1) + 1)
    }
    return min(costs, key=lambda outputs_per_tile: costs[outputs_per_tile], default=0)


def phase_taps(taps: int, stride: int, phase: int) -> int:
    """How many of the taps fall on the places of one phase."""
    return -(-(taps - phase) // stride)


@lru_cache(maxsize=64)
def axis(size: int, taps: int, stride: int) -> Axis:
    """Build the algorithm for `size` places, a window of `taps` and a stride; all three matrices are exact in binary64
    up to one rounding."""
    outputs = (size - taps) // stride + 1
    per_tile = tile_size(size, taps, stride)
    phases = min(stride, taps)
    points = tuple(per_tile + phase_taps(taps, stride, phase) - 1 for phase in range(phases))
    tiles = -(-outputs // per_tile)
    image = np.zeros((phases, points[0], tiles, size))
    window = np.zeros((phases, points[0], taps))
    result = np.zeros((points[0], tiles, outputs))
    for phase, number in enumerate(points):
        a, g, d = toom_cook(per_tile, number - per_tile + 1)
        window[phase, :number, phase::stride] = g
        for tile in range(tiles):
            first = tile * per_tile
            places = list(range(phase + stride * first, size, stride))[:number]
            image[phase, :number, tile, places] = d[:, : len(places)].T
            if phase == 0:
                kept = min(per_tile, outputs - first)
                result[:, tile, first : first + kept] = a[:kept].T
    return Axis(points, tiles, outputs, image, window, result)


def toom_cook(
    outputs: int, taps: int
) -> tuple[Float64[np.ndarray, "m p"], Float64[np.ndarray, "p r"], Float64[np.ndarray, "p p"]]:
    """A, G and T for a correlation of `taps` taps and `outputs` outputs.

    Evaluating two polynomials at points, multiplying, and interpolating gives their product; its transpose is the
    correlation. Point 0 of the result is infinity, so that fewer points are always the first ones: A's columns and
    G's rows then depend on the point alone, and the sum over phases can be taken before A.
    """
    number = outputs + taps - 1
    points = POINTS[: number - 1]
    whole = _product([[-point, Fraction(1)] for point in points])  # infinity: the highest coefficient
    a = [[Fraction(int(row == outputs - 1)), *(point**row for point in points)] for row in range(outputs)]
    g = [[Fraction(int(tap == taps - 1)) for tap in range(taps)]]
    g += [[point**tap for tap in range(taps)] for point in points]
    d = [whole]
    for point in points:
        others = [other for other in points if other != point]
        scale = _product([[point - other] for other in others])[0]
        lagrange = _product([[-other, Fraction(1)] for other in others])
        d.append([coefficient / scale for coefficient in lagrange] + [Fraction(0)])
    return _matrix(a), _matrix(g), _matrix(d)


def _product(factors: Sequence[Sequence[Fraction]]) -> list[Fraction]:
    product = [Fraction(1)]
    for factor in factors:
        longer = [Fraction(0)] * (len(product) + len(factor) - 1)
        for i, left in enumerate(product):
            for j, right in enumerate(factor):
                longer[i + j] += left * right
        product = longer
    return product


def _matrix(rows: Sequence[Sequence[Fraction]]) -> NDArray[np.float64]:
    return np.array([[float(entry) for entry in row] for row in rows])

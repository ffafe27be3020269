"""The positions of a model's primary capsules: a grid over the image."""

from typing import NamedTuple


class Grid(NamedTuple):
    """Rows and columns of positions, from the image's top left; primary capsules are in the order row, column, type.

    Args:
        rows: number of rows.
        columns: number of columns.
        step: pixels between neighbouring positions.
        first: centre of the first position, in pixels from the image's edge.
        window: side of one position's receptive field, in pixels.
    """

    rows: int
    columns: int
    step: float
    first: float
    window: int

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the grid, in pixels of the image."""
        low = self.first - self.step / 2
        return low, low + self.columns * self.step, low + self.rows * self.step, low

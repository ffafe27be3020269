"""Where the primary capsules of a model look: a grid of places over the image."""

from typing import NamedTuple


class Grid(NamedTuple):
    """Rows and columns of places, from the image's top left; the primary capsules are in the order row, column, type.

    Args:
        rows: of places.
        columns: of places.
        step: pixels between two places.
        first: the centre of the first place, in pixels from the image's edge.
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

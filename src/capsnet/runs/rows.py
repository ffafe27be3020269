"""Rows of metrics: a list of mappings with a table as its representation, in text and in notebooks."""

import html
import math
from collections.abc import Sequence

# number of rows shown at the start and end of a long table
_FIRST, _LAST = 6, 18


class Rows(list[dict[str, float]]):
    """The rows of `metrics.csv`, in order; empty cells are missing keys.

    Example:
        >>> rows = run.metrics()
        >>> plt.plot(rows.column("epoch"), rows.column("loss"))
        >>> pandas.DataFrame(rows)
    """

    @property
    def columns(self) -> list[str]:
        """Names of the columns with values."""
        return list(dict.fromkeys(name for row in self for name in row))

    def column(self, name: str) -> list[float]:
        """A column's values, one per row; NaN for missing values."""
        return [row.get(name, math.nan) for row in self]

    def __repr__(self) -> str:
        return "\n".join("  ".join(line) for line in _aligned([self.columns, *self._lines()]))

    def _repr_html_(self) -> str:
        head, *lines = [[html.escape(cell) for cell in line] for line in [self.columns, *self._lines()]]
        names = "".join(f"<th>{name}</th>" for name in head)
        rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in lines)
        return f"<table><thead><tr>{names}</tr></thead><tbody>{rows}</tbody></table>"

    def _lines(self) -> list[list[str]]:
        names = self.columns
        lines = [[f"{row[name]:.5g}" if name in row else "" for name in names] for row in self]
        if len(lines) > _FIRST + _LAST + 1:
            lines[_FIRST:-_LAST] = [["…"] * len(names)]
        return lines


def _aligned(lines: Sequence[Sequence[str]]) -> list[list[str]]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [[cell.rjust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]

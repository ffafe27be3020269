"""Line styles that are distinct without colour, and readable logarithmic axes."""

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Literal, NamedTuple

from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from capsnet.figures.style import BLUE, GREEN, INK, ORANGE, SKY

_PURPLE, _GOLD, _GREY = "#CC79A7", "#E69F00", "#8A8A8A"
_FINE = (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9)
_SUFFIX = ", log scale"
Dashes = Literal["-"] | tuple[float, tuple[float, ...]]


class LineStyle(NamedTuple):
    """The style of one line: colours and markers are unique, and dashes among the first four."""

    color: str
    marker: str
    dashes: Dashes


LINES = (
    LineStyle(BLUE, "o", "-"),
    LineStyle(ORANGE, "s", (0, (5, 1.5))),
    LineStyle(GREEN, "^", (0, (1, 1.2))),
    LineStyle(_PURPLE, "D", (0, (5, 1.5, 1, 1.5))),
    LineStyle(_GOLD, "v", "-"),
    LineStyle(SKY, "P", (0, (5, 1.5))),
    LineStyle(INK, "X", (0, (1, 1.2))),
    LineStyle(_GREY, "*", (0, (5, 1.5, 1, 1.5))),
)


def line_style(index: int) -> LineStyle:
    """The style of line `index`; styles repeat from the ninth on."""
    return LINES[index % len(LINES)]


def log_axis(axis: Axis, low: float, high: float, *, most: int = 7) -> None:
    """Label a logarithmic axis from `low` to `high` at round values, at most `most` of them.

    The multiples between them get minor ticks. ", log scale" is appended to the axis label, or to the title of axes
    without a label: set them before.
    """
    decades = range(floor(log10(low)) - 1, ceil(log10(high)) + 1)
    for steps in (_FINE, (1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = _within(decades, steps, low, high)
        if len(ticks) <= most:
            break
    # keep the highest
    ticks = ticks[:: -ceil(len(ticks) / most)]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    every = range(1, 10) if high < 1e4 * low else (1,)
    axis.set_minor_locator(FixedLocator(_within(decades, every, low, high)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="minor", length=2.5)
    if text := axis.get_label_text():
        axis.set_label_text(text.removesuffix(_SUFFIX) + _SUFFIX)
    else:
        axis.axes.set_title(axis.axes.get_title(loc="left").removesuffix(_SUFFIX) + _SUFFIX, loc="left", pad=8)


def _within(decades: Sequence[int], steps: Sequence[int | float], low: float, high: float) -> list[float]:
    values = (step * 10.0**decade for decade in decades for step in steps)
    return [value for value in values if 0.999 * low <= value <= 1.001 * high]


def number(value: float) -> str:
    """A tick's value without exponent or trailing zeros."""
    return f"{value:.10f}".rstrip("0").rstrip(".") if value else "0"

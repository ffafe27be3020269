"""Draw what routing_models.py found: a picture for each routing's page, and one of all routings.

python docs/routing_pictures.py
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from torch import Tensor

from capsnet.figures.coupling import SHARES, Grid, outline, overlay
from capsnet.figures.style import GREY, ORANGE, axes_at, new_figure, styled, to_png
from capsnet.figures.tiles import show, to_tiles

FOLDER = Path(__file__).parent / "routings" / "pictures"
FEEDS = LinearSegmentedColormap.from_list("feeds", ["#FFFFFF", "#FBE3D2", "#F0B68C", ORANGE, "#7A3300"])
WIDTH, SIDE, GAP, LEFT = 8.0, 0.72, 0.07, 0.92
Record = dict[str, Any]


def read_records(folder: Path = FOLDER) -> dict[str, Record]:
    """What was found with each routing, the control first."""
    records = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    return dict(sorted(records.items(), key=lambda pair: pair[0] != "uniform"))


@styled
def draw_page(record: Record) -> Figure:
    """One routing: three digits side by side, and below each what feeds its two most active classes, step by step."""
    digits, grid = record["digits"], Grid(*record["grid"])
    steps = len(digits[0]["feeds"])
    rows = steps + 1
    body = rows * (SIDE + 0.3) + 1.0
    words = "after each of its iterations" if steps > 1 else "in its only step"
    figure = new_figure(
        WIDTH,
        body,
        f"What feeds the classes: {record['routing']} routing",
        "Coupling times activation of the primary capsules, summed over the 8 at each of 10×10 places, "
        f"{words}; and how much more of it goes to the most active class than to the second. Above a map: the class "
        "and its activation. Line: the digit.",
    )
    peak = _round(max(float(_tensor(digit["feeds"]).quantile(0.995)) for digit in digits))
    gap = _round(max(float(_difference(digit)[-1].abs().max()) for digit in digits))
    feeds, differences = Normalize(0, peak), Normalize(-gap, gap)
    for block, digit in enumerate(digits):
        left = LEFT + block * (3 * (SIDE + GAP) + 0.12)
        bottom = body - 0.34 - SIDE
        _digit(figure, digit, grid, left, bottom)
        _map(figure, digit, _tensor(digit["activity"]), grid, Normalize(0, 4), left + SIDE + GAP, bottom, "activity")
        for step in range(steps):
            low = bottom - (step + 1) * (SIDE + 0.3)
            for which in range(2):
                title = f"{digit['classes'][which]}: {digit['activations'][step][which]:.2f}"
                values = _tensor(digit["feeds"])[step, which]
                _map(figure, digit, values, grid, feeds, left + which * (SIDE + GAP), low, title)
            title = "{} − {}".format(*digit["classes"])
            place = left + 2 * (SIDE + GAP)
            _map(figure, digit, _difference(digit)[step], grid, differences, place, low, title, SHARES)
    for row in range(rows):
        middle = body - 0.34 - SIDE / 2 - row * (SIDE + 0.3)
        text = "test digit" if row == 0 else f"iteration {row}" if steps > 1 else "one step"
        figure.text(0.3 / WIDTH, middle / figure.get_size_inches()[1], text, size=8.5, va="center")
    _bar(figure, feeds, FEEDS, LEFT, "fed to a class; 1: an even share\nof a place of mean activity")
    _bar(figure, differences, SHARES, LEFT + 2.9, "difference")
    return figure


@styled
def draw_overview(records: dict[str, Record], which: int = 0) -> Figure:
    """The same digit under all routings, after the last iteration of each."""
    count = len(records)
    step = (WIDTH - LEFT - 0.3) / count
    side = step - GAP
    body = 4 * side + 2.55
    figure = new_figure(
        WIDTH,
        body,
        "One digit under all routings",
        "What feeds the most active class and the second (coupling times activation, summed at each of 10×10 places), "
        "and the difference of the two on a scale of its own, whose ends are below. Above a map: the class and its "
        "activation.",
    )
    for column, (name, record) in enumerate(records.items()):
        digit, grid = record["digits"][which], Grid(*record["grid"])
        left, total = LEFT + column * step, figure.get_size_inches()[1]
        middle, words = (left + side / 2) / WIDTH, name.replace("_", "\n")
        figure.text(middle, (body - 0.42) / total, words, size=8.5, ha="center", va="center", weight="bold")
        bottom = body - 0.75 - side
        for row in range(2):
            title = f"{digit['classes'][row]}: {digit['activations'][-1][row]:.2f}"
            values = _tensor(digit["feeds"])[-1, row]
            _map(figure, digit, values, grid, Normalize(0, 4), left, bottom - row * (side + 0.3), title, side=side)
        difference = _difference(digit)[-1]
        end = float(difference.abs().max())
        low = bottom - 2 * (side + 0.3)
        _map(figure, digit, difference, grid, Normalize(-end or -1, end or 1), left, low, "", SHARES, side)
        figure.text(middle, (low - 0.16) / total, f"±{end:.2g}", size=8.5, ha="center", color=GREY)
    for row, text in enumerate(("most active\nclass", "second", "difference")):
        middle = body - 0.75 - side / 2 - row * (side + 0.3)
        figure.text(0.3 / WIDTH, middle / figure.get_size_inches()[1], text, size=8.5, va="center")
    _bar(figure, Normalize(0, 4), FEEDS, LEFT, "fed to a class; 1: an even share\nof a place of mean activity")
    return figure


def _digit(figure: Figure, digit: Record, grid: Grid, left: float, bottom: float) -> None:
    axes = axes_at(figure, left, bottom, SIDE, SIDE)
    show(axes, _tile(digit), frame=True)
    outline(axes, grid)
    axes.set_title(f"a {digit['label']}", size=8.5, pad=3)


def _map(
    figure: Figure,
    digit: Record,
    values: Tensor,
    grid: Grid,
    norm: Normalize,
    left: float,
    bottom: float,
    title: str,
    colors: LinearSegmentedColormap = FEEDS,
    side: float = SIDE,
) -> Axes:
    axes = axes_at(figure, left, bottom, side, side)
    show(axes, _tile(digit), frame=True)
    overlay(axes, values, grid, norm, colors)
    axes.set_title(title, size=8, weight="normal", pad=3)
    return axes


def _bar(figure: Figure, norm: Normalize, colors: LinearSegmentedColormap, left: float, text: str) -> None:
    bar = figure.colorbar(
        ScalarMappable(norm, colors), cax=axes_at(figure, left, 0.5, 2.0, 0.1), orientation="horizontal", extend="max"
    )
    bar.set_label(text, size=8)
    bar.outline.set_visible(False)


def _tile(digit: Record) -> np.ndarray:
    return to_tiles(torch.tensor(digit["pixels"], dtype=torch.uint8)[None, None])[0]


def _tensor(values: list[Any]) -> Tensor:
    return torch.tensor(values)


def _difference(digit: Record) -> Tensor:
    feeds = _tensor(digit["feeds"])
    return feeds[:, 0] - feeds[:, 1]


def _round(value: float) -> float:
    """Up to a number with two digits; 1 where there is nothing."""
    if value <= 0:
        return 1.0
    unit = 10 ** np.floor(np.log10(value)) / 10
    return float(np.ceil(value / unit) * unit)


def main() -> None:
    """Draw all."""
    records = read_records()
    for name, record in records.items():
        (FOLDER / f"{name}.png").write_bytes(to_png(draw_page(record)))
    (FOLDER / "all.png").write_bytes(to_png(draw_overview(records)))


if __name__ == "__main__":
    main()

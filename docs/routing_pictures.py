"""Draw the records of routing_models.py: a picture for each routing's page, and one of all routings.

python docs/routing_pictures.py
"""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from capsnet.figures.coupling import Grid, draw_contour, outline
from capsnet.figures.style import BLUE, GREY, ORANGE, axes_at, new_figure, styled, to_png
from capsnet.figures.tiles import show, to_tiles

FOLDER = Path(__file__).parent / "routings" / "pictures"
COLORS = LinearSegmentedColormap.from_list(
    "coupling", ["#08306B", BLUE, "#9CC3DA", "#C9C9C9", "#F0A868", ORANGE, "#7A3300"], N=41
)
EVEN, LARGEST = 0.1, 140_000
WIDTH, LEFT, GAP, TITLE = 8.0, 1.08, 0.07, 0.27
# their activations are batch-normalised with statistics of the last iteration, so earlier ones mean nothing
NORMALISED = ("em", "variational-bayes")
Record = dict[str, Any]


def read_records(folder: Path = FOLDER) -> dict[str, Record]:
    """The record of each routing, the control first."""
    records = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    return dict(sorted(records.items(), key=lambda pair: pair[0] != "uniform"))


@styled
def draw_page(record: Record) -> Figure:
    """One routing: three digits side by side, and below each the coupling to its two most active classes."""
    digits = record["digits"]
    steps = len(digits[0]["feeds"])
    side = (WIDTH - LEFT - 0.3 - 0.15 * (len(digits) - 1)) / (2 * len(digits)) - GAP
    body = (steps + 1) * (side + TITLE) + 0.85
    iterations = "after each iteration" if steps > 1 else "in the only step"
    figure = new_figure(
        WIDTH,
        body,
        f"Which places feed a class: {record['routing']}",
        "A square is one of 10×10 places; the larger, the more active its 8 capsules. Colour: the coupling to the "
        f"class above it, the most active one and the second, {iterations} (mean over the capsules, weighted by "
        "activation). Beside the class: its activation.",
    )
    norm = _norm([coupling(digit, step) for digit in digits for step in range(steps)])
    for block in range(len(digits)):
        left = LEFT + block * (2 * (side + GAP) + 0.15)
        bottom = body - TITLE - side
        _digit(figure, record, block, left, bottom, side)
        for step in range(steps):
            bottom -= side + TITLE
            for which in range(2):
                _map(figure, record, block, step, which, norm, left + which * (side + GAP), bottom, side)
    for row in range(steps + 1):
        middle = body - TITLE - side / 2 - row * (side + TITLE)
        text = "test digit" if row == 0 else f"iteration {row}" if steps > 1 else "coupling"
        _beside(figure, middle, text)
    _bar(figure, norm)
    return figure


@styled
def draw_overview(records: dict[str, Record], shown: tuple[int, ...] = (0, 2)) -> Figure:
    """The same digits under all routings, after the last iteration of each."""
    side = (WIDTH - LEFT - 0.3) / len(records) - GAP
    rows = 2 * len(shown)
    body = rows * (side + TITLE) + 0.12 * (len(shown) - 1) + 1.3
    figure = new_figure(
        WIDTH,
        body,
        "The same digits under every routing",
        "A square is one of 10×10 places; the larger, the more active its 8 capsules. Colour: the coupling to the "
        "class above it, the most active one and the second, after the last iteration. Beside the class: its "
        "activation. The networks differ in routing, loss and learning rate.",
    )
    norm, total = LogNorm(0.01, 1), figure.get_size_inches()[1]
    for column, (name, record) in enumerate(records.items()):
        left = LEFT + column * (side + GAP)
        words = name.replace("-", "\n", 1).replace("-", " ")
        place = ((left + side / 2) / WIDTH, (body - 0.32) / total)
        figure.text(*place, words, size=8.5, ha="center", va="baseline", weight="bold", linespacing=1.1)
        for row in range(rows):
            block, which = shown[row // 2], row % 2
            bottom = body - 0.42 - (row + 1) * (side + TITLE) - 0.12 * (row // 2)
            _map(figure, record, block, -1, which, norm, left, bottom, side)
            if column == 0:
                text = "second" if which else f"a {record['digits'][block]['label']}:\nmost active"
                _beside(figure, bottom + side / 2, text)
    _bar(figure, norm)
    return figure


def coupling(digit: Record, step: int) -> Tensor:
    """Coupling of each place, the mean over its capsules weighted by activation; two classes, row, column."""
    # a place of mean activity that gives every class the same feeds it 1
    return EVEN * torch.tensor(digit["feeds"][step]) / torch.tensor(digit["activity"]).clamp(min=1e-4)


def _norm(shares: list[Tensor]) -> LogNorm:
    """An even share in the middle, and a power of two or so of it at the ends."""
    apart = torch.stack(shares).clamp(min=1e-9).div(EVEN).log().abs().quantile(0.99).exp()
    factor = next((step for step in (1.25, 1.5, 2, 3, 5) if apart <= step), 10)
    return LogNorm(EVEN / factor, EVEN * factor)


def _digit(figure: Figure, record: Record, block: int, left: float, bottom: float, side: float) -> None:
    axes, digit = axes_at(figure, left, bottom, side, side), record["digits"][block]
    show(axes, _tile(digit), frame=True)
    outline(axes, Grid(*record["grid"]))
    axes.set_title(f"a {digit['label']}", size=9, pad=3)


def _map(
    figure: Figure,
    record: Record,
    block: int,
    step: int,
    which: int,
    norm: LogNorm,
    left: float,
    bottom: float,
    side: float,
) -> Axes:
    axes, digit, grid = axes_at(figure, left, bottom, side, side), record["digits"][block], Grid(*record["grid"])
    show(axes, _tile(digit), frame=True)
    draw_contour(axes)
    active = torch.tensor(digit["activity"])
    widths = 0.94 * grid.step * (active / active.max()).sqrt()
    low = grid.extent[0]
    squares = [
        Rectangle((low + (x + 0.5) * grid.step - width / 2, low + (y + 0.5) * grid.step - width / 2), width, width)
        for y, row in enumerate(widths.tolist())
        for x, width in enumerate(row)
    ]
    share = coupling(digit, step)[which].flatten().clamp(min=norm.vmin, max=norm.vmax)
    axes.add_collection(PatchCollection(squares, facecolor=COLORS(norm(share.numpy())), linewidth=0))
    left, right, bottom, top = grid.extent
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    values = digit["activations"]
    title = f"{digit['classes'][which]}: {values[step][which]:.2f}"
    if record["routing"] in NORMALISED and step not in (-1, len(values) - 1):
        title = str(digit["classes"][which])
    axes.set_title(title, size=8.5, weight="normal", pad=3)
    return axes


def _beside(figure: Figure, middle: float, text: str) -> None:
    figure.text(0.3 / WIDTH, middle / figure.get_size_inches()[1], text, size=8.5, va="center")


def _bar(figure: Figure, norm: LogNorm) -> None:
    axes = axes_at(figure, LEFT, 0.42, 3.0, 0.11)
    bar = figure.colorbar(ScalarMappable(norm, COLORS), cax=axes, orientation="horizontal", extend="both")
    ticks = [tick for tick in (0.03, EVEN, 0.3) if norm.vmin < tick < norm.vmax]
    ticks = [norm.vmin, *ticks, norm.vmax]
    bar.set_ticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
    bar.minorticks_off()
    bar.outline.set_visible(False)
    text = "coupling; grey: an even share,\norange: more, blue: less"
    figure.text((LEFT + 3.3) / WIDTH, 0.475 / figure.get_size_inches()[1], text, size=8.5, va="center", color=GREY)


def _tile(digit: Record) -> Any:
    return to_tiles(torch.tensor(digit["pixels"], dtype=torch.uint8)[None, None])[0]


def save(figure: Figure, path: Path) -> None:
    """As PNG, with few colours where it would be large."""
    data = to_png(figure)
    path.write_bytes(data)
    if len(data) > LARGEST:
        Image.open(BytesIO(data)).quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Draw all."""
    records = read_records()
    for name, record in records.items():
        save(draw_page(record), FOLDER / f"{name}.png")
    save(draw_overview(records), FOLDER / "all.png")


if __name__ == "__main__":
    main()

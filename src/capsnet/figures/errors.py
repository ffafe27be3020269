"""The most confident errors and the narrowest correct predictions, with the two capsules and their reconstructions."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import cast

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from capsnet.analysis.errors import ErrorResults, Mistake
from capsnet.analysis.watch import read, view
from capsnet.data import ImageData
from capsnet.figures.style import BLUE, GREY, INK, ORANGE, axes_at, class_label, new_figure, plain, styled
from capsnet.figures.subject import Subject, add_figure
from capsnet.figures.tiles import show, to_tiles
from capsnet.models import CapsuleModel

_COLUMNS, _ERRORS, _NARROW = 6, 12, 6
# of the incorrect images, and of the correct ones
_TITLES = {
    True: "Errors, most confident first: true → predicted",
    False: "Correct by the smallest margin: true class, runner-up",
}
_STEP, _TALL, _LABEL = 1.23, 0.5, 0.1


@styled
def draw_errors(results: ErrorResults, model: CapsuleModel, data: ImageData) -> Figure:
    """Draw misclassified images, and then correct ones with the smallest margin.

    Args:
        results: of the analysis.
        model: its decoder, if any, reconstructs both capsules.
        data: the analysed images, in order.
    """
    errors, decoded = results["wrong"], model.has_decoder
    blocks: list[tuple[bool, Sequence[Mistake]]] = [
        (True, results["mistakes"][:_ERRORS]),
        (False, results["doubtful"][:_NARROW]),
    ]
    blocks = [(incorrect, items) for incorrect, items in blocks if items]
    subtitle = f"{errors['count']:,} of {errors['n']:,} test images are misclassified. "
    if decoded:
        subtitle += (
            "Small pictures: reconstructions from the capsule of the true class (left) and the other class (right). A "
            "good reconstruction from the shorter capsule suggests that its pose was correct although it lost. "
        )
    subtitle += "Bars: lengths of the two capsules (blue: true class)."
    cell = 0.72 * min(1.0, data.image_shape[1] / data.image_shape[2])
    # a line below each image for the name of its file
    label = 0.0 if data.files is None else _LABEL
    row = cell + label + (_TALL if decoded else 0.0) + 0.7
    rows = [-(-len(items) // _COLUMNS) for _, items in blocks]
    height = sum(rows) * row + 0.35 * len(blocks) + 0.1
    figure = new_figure(8.0, height, "Errors and narrow decisions", subtitle)
    top, total = height - 0.05, figure.get_size_inches()[1]
    for (incorrect, items), count in zip(blocks, rows, strict=True):
        figure.text(0.3 / 8.0, top / total, _TITLES[incorrect], weight="bold", va="top")
        top -= 0.35
        pictures = _decode_both(model, data, items) if decoded else None
        for position, item in enumerate(items):
            left = 0.35 + _STEP * (position % _COLUMNS)
            bottom = top - row * (position // _COLUMNS) - cell - 0.05
            drawn = None if pictures is None else pictures[position]
            _draw_one(figure, item, data, (left, bottom, cell), drawn, incorrect)
        top -= count * row
    return figure


@torch.no_grad()
def _decode_both(model: CapsuleModel, data: ImageData, items: Sequence[Mistake]) -> Tensor:
    """Reconstructions from the capsules of the true class and of the other one.

    Shapes:
        result `m 2 c h w`.
    """
    device = model.device
    indices = torch.tensor([item["index"] for item in items])
    capsules = read(model, view(model, data.select(indices)).to(device)).capsules
    drawn = []
    for classes in (data.labels[indices], torch.tensor([_other(item)[0] for item in items])):
        drawn.append(model.reconstruct(capsules, classes.to(device)).cpu())
    return torch.stack(drawn, dim=1)


def _draw_one(
    figure: Figure,
    item: Mistake,
    data: ImageData,
    place: tuple[float, float, float],
    drawn: Tensor | None,
    incorrect: bool,
) -> None:
    left, bottom, cell = place
    image = data.images[item["index"]][None]
    wide = cell * image.shape[3] / image.shape[2]
    axes = axes_at(figure, left + (_STEP - 0.15 - wide) / 2, bottom, wide, cell)
    show(axes, to_tiles(image)[0], frame=True)
    true, other = (class_label(data.class_names, label, 8) for label in (item["label"], _other(item)[0]))
    axes.set_title(
        f"{true} → {other}" if incorrect else f"{true}, {other}?",
        size=8.5,
        pad=4,
        loc="center",
        color=ORANGE if incorrect else INK,
        weight="bold" if incorrect else "normal",
    )
    if "file" in item:
        # the folder is the class, so the file name suffices
        name = plain(PurePosixPath(item["file"]).name, 20)
        axes.text(0.5, -0.04, name, transform=axes.transAxes, size=5.5, ha="center", va="top", color=GREY, gid="file")
        bottom -= _LABEL
    if drawn is not None:
        small = _TALL * image.shape[3] / image.shape[2]
        middle = left + (_STEP - 0.15) / 2
        for tile, start in zip(to_tiles(drawn), (middle - small - 0.02, middle + 0.02), strict=True):
            show(axes_at(figure, start, bottom - _TALL - 0.05, small, _TALL), tile, frame=True)
        bottom -= _TALL + 0.05
    _draw_lengths(axes_at(figure, left, bottom - 0.32, _STEP - 0.15, 0.26), item)


def _other(item: Mistake) -> tuple[int, float]:
    """The class beside the true one, and its length."""
    if "other" in item:
        return item["other"], item["other_length"]
    # in records of older versions
    old = cast(Mapping[str, float], item)
    return int(old["predicted"]), old["longest"]


def _draw_lengths(axes: Axes, item: Mistake) -> None:
    other = _other(item)[1]
    axes.barh([1, 0], [item["length"], other], height=0.7, color=[BLUE, GREY])
    for place, value in ((1, item["length"]), (0, other)):
        axes.text(value + 0.03, place, f"{value:.2f}", size=7, va="center", color=GREY)
    axes.set_xlim(0, 1.3)
    axes.set_ylim(-0.5, 1.5)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in ("bottom", "left"):
        axes.spines[side].set_visible(side == "left")


def _draw(subject: Subject) -> Figure:
    record = subject.record("errors")
    return draw_errors(cast(ErrorResults, record["results"]), subject.model, subject.images_of(record))


add_figure(
    "errors",
    _draw,
    caption="An orange title marks an error. The closer the two bars, the less confident the prediction.",
    place=42,
)

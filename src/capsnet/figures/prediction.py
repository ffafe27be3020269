"""Predictions for images: the input, the length of every class capsule, and the reconstruction."""

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from capsnet.figures.style import BLUE, GREY, INK, PALE, PAPER, axes_at, class_label, labels, new_figure, plain, styled
from capsnet.figures.tiles import show, to_tiles

MOST_IMAGES, _MOST_BARS = 30, 40
_WIDTH, _SIDE = 8.0, 1.2
# lengths are at most 1; leave room for the values above the bars
_CEILING = 1.16


@styled
def draw_prediction(
    inputs: UInt8[Tensor, "b c h w"],
    lengths: Float[Tensor, "b n"],
    reconstructions: Float[Tensor, "b c h w"] | None,
    class_names: Sequence[str],
    files: Sequence[str],
    *,
    unsure: Sequence[bool] = (),
    total: int = 0,
    word: str = "length",
) -> Figure:
    """Draw a row for each image: the input, the lengths of the class capsules as bars, the reconstruction.

    Args:
        inputs: as the network received them.
        lengths: of the class capsules; the longest 40 are shown.
        reconstructions: from the longest capsule; None without a decoder.
        class_names: a name for each class.
        files: source of each image. At most 30 images are shown.
        unsure: which predictions are uncertain; empty if not measured.
        total: number of images of which these are the first; 0: these are all.
        word: name of a class's score.
    """
    total = total or len(inputs)
    count = min(len(inputs), MOST_IMAGES)
    some = "each class capsule"
    if len(class_names) > _MOST_BARS:
        some = f"the {_MOST_BARS} largest of {len(class_names)} class capsules"
    subtitle = f"Left: the network's input. Bars: {word} of {some}; the largest is the prediction."
    if reconstructions is not None:
        subtitle += " Right: reconstruction from its pose."
    if total > count:
        subtitle += f" The first {count} of {total:,} images are shown."
    names = labels(class_names, 14)
    longest = max(len(name) for name in names)
    crowded = longest * min(len(class_names), _MOST_BARS) > 50
    below = 0.078 * longest + 0.1 if crowded else 0.25
    tall = _SIDE * min(inputs.shape[2] / inputs.shape[3], 1.5)
    row = max(tall, 0.9) + below + 0.45
    figure = new_figure(_WIDTH, row * count + 0.1, "Prediction" + ("s" if count > 1 else ""), subtitle)
    for index in range(count):
        bottom = (count - 1 - index) * row + below + 0.1
        show(axes_at(figure, 0.3, bottom, _SIDE, tall), to_tiles(inputs[index : index + 1])[0], frame=True)
        wide = _WIDTH - 0.6 - _SIDE - 0.55
        if reconstructions is not None:
            wide -= _SIDE + 0.3
            axes = axes_at(figure, _WIDTH - 0.3 - _SIDE, bottom, _SIDE, tall)
            show(axes, to_tiles(reconstructions[index : index + 1])[0], frame=True)
        bars = axes_at(figure, 0.3 + _SIDE + 0.55, bottom, wide, max(tall, 0.9))
        _draw_lengths(bars, lengths[index].float().cpu().numpy(), names, crowded)
        _draw_title(bars, lengths[index], class_names, files[index], bool(unsure) and unsure[index], word)
    return figure


def _draw_lengths(axes: Axes, lengths: Float[np.ndarray, " n"], names: Sequence[str], upright: bool) -> None:
    winner = int(lengths.argmax())
    order = np.arange(len(lengths)) if len(lengths) <= _MOST_BARS else np.argsort(-lengths)[:_MOST_BARS]
    places = np.arange(len(order))
    axes.bar(places, lengths[order], width=0.72, color=[BLUE if k == winner else PALE for k in order])
    axes.set_ylim(0, _CEILING)
    axes.set_xlim(-0.6, len(order) - 0.4)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"], size=8)
    size = 8.5 if len(order) <= 24 else 7
    axes.set_xticks(places, [names[k] for k in order], size=size, rotation=90 if upright else 0)
    axes.tick_params(axis="x", length=0, pad=2)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    for place, k in zip(places, order, strict=True):
        if k == winner:
            axes.get_xticklabels()[place].set(weight="bold", color=BLUE)
    _draw_values(axes, lengths, order, winner)


def _draw_values(axes: Axes, lengths: Float[np.ndarray, " n"], order: np.ndarray, winner: int) -> None:
    """Write lengths on their bars if there is room."""
    if len(order) > 12:
        return
    for place, k in enumerate(order):
        # activations of some routings exceed 1
        height = min(float(lengths[k]), 1.0) + 0.02
        color, weight = (BLUE, "bold") if k == winner else (GREY, "normal")
        # the paper behind it hides the line at 1
        style = {"boxstyle": "square,pad=0.1", "facecolor": PAPER, "edgecolor": "none"}
        value = f"{lengths[k]:.2f}"
        axes.text(place, height, value, size=7.5, ha="center", va="bottom", color=color, weight=weight, bbox=style)


def _draw_title(
    axes: Axes, lengths: Float[Tensor, " n"], class_names: Sequence[str], file: str, unsure: bool, word: str
) -> None:
    winner = int(lengths.argmax())
    name = ("unsure: most like " if unsure else "") + class_label(class_names, winner, 30)
    axes.set_title(f"{name}, {word} {float(lengths[winner]):.2f}", pad=11, color=INK)
    axes.set_title(plain(PurePath(file).name, 34), loc="right", size=8.5, weight="normal", color=GREY, pad=11)

"""True and predicted masks of overlapping digits, drawn on their images, and their overlap during training."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from torch import Tensor

from capsnet.data.multimnist_masks import MaskedImages
from capsnet.figures.lines import line_style
from capsnet.figures.style import GREY, INK, axes_at, new_figure, styled
from capsnet.figures.tiles import montage, show, to_tiles
from capsnet.functional import dice_score

_GAP, _CELL, _LEFT, _MOST = 2, 0.8, 1.1, 8
# Okabe and Ito: first digit, second digit, both, a class that is not in the image
_FIRST, _SECOND, _BOTH, _ABSENT = (0.34, 0.71, 0.91), (0.90, 0.62, 0.0), (1.0, 1.0, 1.0), (0.80, 0.47, 0.65)


@styled
def draw_segmentation(images: MaskedImages, predicted: Mapping[str, Bool[Tensor, "b n h w"]]) -> Figure:
    """Draw images, their true masks, and predicted masks of each model, and the Dice over the masks of all classes.

    Args:
        images: with true masks; the first eight are drawn.
        predicted: masks of the same images by the name of a model.
    """
    count = min(_MOST, len(images))
    labels = images.labels[:count]
    grey = images.images[:count].float() / 255
    rows = {"image": grey.expand(-1, 3, -1, -1), "true masks": overlay_masks(grey, images.masks[:count], labels)}
    rows |= {name: overlay_masks(grey, masks[:count], labels) for name, masks in predicted.items()}
    sheet = montage(np.concatenate([to_tiles(row) for row in rows.values()]), count, _GAP)
    side = grey.shape[3]
    width, tall = _CELL * count, _CELL * len(rows)
    subtitle = (
        "Blue: pixels of the first digit. Orange: of the second. White: of both. Pink: of a digit that is not "
        "in the image, whatever else is there. "
        "Numbers: Dice coefficient over the masks of all digits. The first test pairs, not selected."
    )
    scores = 0.2 * len(predicted)
    figure = new_figure(_LEFT + width + 0.3, tall + scores + 0.5, "Two overlapping digits, segmented", subtitle)
    axes = axes_at(figure, _LEFT, scores + 0.4, width, tall)
    show(axes, sheet)
    middle = [row * (side + _GAP) + side / 2 for row in range(len(rows))]
    for place, name in zip(middle, rows, strict=True):
        axes.annotate(name, (0, place), (-6, 0), textcoords="offset points", ha="right", va="center", size=8.5)
    for column, pair in enumerate(labels.tolist()):
        lines = [f"{pair[0]} and {pair[1]}"]
        for masks in predicted.values():
            dice = dice_score(masks[column].flatten(0, 1), images.masks[column].flatten(0, 1))
            lines.append(f"{float(dice):.2f}")
        axes.annotate(
            "\n".join(lines),
            (column * (side + _GAP) + side / 2, sheet.shape[0]),
            (0, -4),
            textcoords="offset points",
            ha="center",
            va="top",
            size=8.5,
            color=INK,
            annotation_clip=False,
        )
    names = "\n".join(["digits", *(f"Dice, {name}" for name in predicted)])
    axes.annotate(
        names, (0, sheet.shape[0]), (-6, -4), textcoords="offset points", ha="right", va="top", size=8.5,
        annotation_clip=False,
    )  # fmt: skip
    return figure


@styled
def draw_learning(curves: Mapping[str, Sequence[Mapping[str, float]]], trivial: float) -> Figure:
    """Draw the Dice coefficient on held-out pairs over training steps and over processor time.

    Args:
        curves: rows with `step`, `seconds` and `dice_all`, by the name of a model.
        trivial: Dice of all ink marked as each of the ten digits.
    """
    subtitle = (
        "Dice coefficient over the masks of all digits, on pairs of held-out training digits: over training steps, and "
        "over seconds of one CPU core. Dotted: all ink marked as each of the ten digits."
    )
    figure = new_figure(7.4, 2.9, "How the masks get better in training", subtitle)
    panels = (("step", "training steps"), ("seconds", "seconds of one CPU core"))
    for place, (key, label) in enumerate(panels):
        axes = axes_at(figure, 0.7 + 3.5 * place, 0.6, 2.95, 2.15)
        for index, (name, rows) in enumerate(curves.items()):
            style = line_style(index)
            values = [row[key] for row in rows], [row["dice_all"] for row in rows]
            axes.plot(*values, color=style.color, linestyle=style.dashes, linewidth=1.6, label=name)
        axes.axhline(trivial, color=GREY, linestyle=":", linewidth=1.2)
        axes.set_xlabel(label)
        axes.set_ylim(0, 1)
        axes.set_xlim(left=0)
        axes.grid(axis="y")
        if place == 0:
            axes.set_ylabel("Dice coefficient")
            axes.legend(frameon=False, fontsize=8.5, loc="upper left")
    return figure


def overlay_masks(
    images: Float[Tensor, "b 1 h w"], masks: Bool[Tensor, "b n h w"], labels: Tensor
) -> Float[Tensor, "b 3 h w"]:
    """Colour the pixels of masks over a dimmed image.

    Args:
        images: grey, in [0, 1].
        masks: of each class.
        labels: the two classes that are present, `b 2`.
    """
    rows = torch.arange(len(images))
    first, second = masks[rows, labels[:, 0]], masks[rows, labels[:, 1]]
    other = masks.clone()
    other[rows[:, None], labels] = False
    result = (0.35 * images).expand(-1, 3, -1, -1).clone()
    areas = ((first, _FIRST), (second, _SECOND), (first & second, _BOTH), (other.any(dim=1), _ABSENT))
    for area, color in areas:
        painted = torch.tensor(color)[None, :, None, None].expand_as(result)
        result = torch.where(area[:, None], painted, result)
    return result

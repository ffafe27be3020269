"""The confusion matrix."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from capsnet.figures.style import GREY, INK, ORANGE, axes_at, labels, new_figure, styled
from capsnet.figures.subject import Subject, add_figure

_MISTAKES = LinearSegmentedColormap.from_list("mistakes", ["#FFFFFF", "#FBD9BF", "#EE9A5E", ORANGE, "#8C3D00"])
_ANNOTATED = 40


@styled
def draw_confusion(confusion: Sequence[Sequence[int]], class_names: Sequence[str], noun: str = "test images") -> Figure:
    """Draw counts of true classes (rows) and predicted ones (columns); only errors are coloured.

    Args:
        confusion: rows are true classes, columns predicted ones.
        class_names: a name for each class.
        noun: what is counted.
    """
    counts = np.asarray(confusion)
    classes, total = len(counts), int(counts.sum())
    incorrect = total - int(np.trace(counts))
    names = labels(class_names, 18)
    longest = max(len(name) for name in names)
    upright = longest > (4 if classes <= 12 else 2)
    cell = min(0.56, 6.4 / classes)
    label_size = max(5.5, min(9.0, cell * 72 * 0.6))
    text = 0.0085 * label_size * longest
    side, left = cell * classes, max(text + 0.55, 0.9)
    above = (text if upright else 0.15) + 0.35
    width = max(left + side + 1.2, 5.2)
    subtitle = f"{incorrect:,} of {total:,} {noun} are misclassified. Rows: true class; columns: prediction."
    figure = new_figure(width, side + above + 0.35, "Confusion matrix", subtitle)
    axes = axes_at(figure, left, 0.3, side, side)
    size = max(4.5, min(10.0, cell * 72 * 0.36))
    _cells(axes, counts, size)
    places = np.arange(classes) + 0.5
    axes.set_xticks(places, names, size=label_size, rotation=90 if upright else 0)
    axes.set_yticks(places, names, size=label_size)
    axes.tick_params(length=0, top=False, labeltop=True, labelbottom=False, pad=3)
    axes.set_xlabel("predicted", color=GREY, labelpad=8)
    axes.xaxis.set_label_position("top")
    axes.set_ylabel("true", color=GREY)
    _shares(axes, counts, label_size)
    return figure


def _cells(axes: Axes, counts: np.ndarray, size: float) -> None:
    classes = len(counts)
    mistakes = counts * (1 - np.eye(classes, dtype=int))
    most = max(int(mistakes.max()), 4)
    axes.imshow(mistakes / most, cmap=_MISTAKES, vmin=0, vmax=1, extent=(0.0, classes, classes, 0.0))
    for row in range(classes):
        axes.add_patch(Rectangle((row, row), 1, 1, facecolor="#EDEDED", edgecolor="none"))
    axes.set_xticks(np.arange(classes + 1), minor=True)
    axes.set_yticks(np.arange(classes + 1), minor=True)
    axes.grid(which="minor", color="#F1F1F1", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set(visible=True, color="#CCCCCC")
    if classes > _ANNOTATED:
        return
    for row, column in zip(*counts.nonzero(), strict=True):
        count, diagonal = int(counts[row, column]), row == column
        dark = not diagonal and mistakes[row, column] > 0.55 * most
        color = "white" if dark else GREY if diagonal else INK
        axes.text(
            column + 0.5,
            row + 0.53,
            str(count),
            ha="center",
            va="center",
            size=size,
            color=color,
            weight="normal" if diagonal else "bold",
            gid="count",
        )


def _shares(axes: Axes, counts: np.ndarray, size: float) -> None:
    """The error of each class, at the right."""
    classes = len(counts)
    axes.text(classes, -0.25, "  error", size=max(size, 7), color=GREY, va="bottom")
    for row, line in enumerate(counts):
        images = int(line.sum())
        missed = images - int(line[row])
        text = f"{100 * missed / images:.1f} %" if images else "none"
        color = ORANGE if missed else GREY
        axes.text(classes, row + 0.53, "  " + text, size=size, color=color, va="center")


def _draw(subject: Subject) -> Figure:
    test = subject.test
    noun = "test images" if test.digit_error_percent is None else "single digits of test pairs"
    return draw_confusion(test.confusion, subject.class_names, noun)


add_figure(
    "confusion",
    _draw,
    caption="Which classes are confused with which. The diagonal counts correct predictions; a coloured cell counts "
    "images of the row's class that were predicted as the column's.",
    place=40,
    charts=True,
)

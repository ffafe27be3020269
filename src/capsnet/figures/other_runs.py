"""The figures of a run that trained a segmentation model or a model of sequences."""

from collections.abc import Callable, Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from capsnet.data.input_kind import find_input_kind
from capsnet.data.mask_splits import load_masks
from capsnet.data.recordings import load_recordings
from capsnet.errors import UserError
from capsnet.figures.masks import draw_masks
from capsnet.figures.sequence import draw_couplings
from capsnet.figures.style import BLUE, GREY, ORANGE, axes_at, new_figure, styled
from capsnet.inference.segment import segment
from capsnet.models import load_segmenter, load_sequence_model
from capsnet.registry import suggest
from capsnet.runs.folder import Run
from capsnet.training.task import Task

_MASKS, _RECORDINGS = 6, 4


def other_figures(run: Run, task: Task, names: Sequence[str] = ()) -> dict[str, Callable[[], Figure]]:
    """The figures of a run by name: `curves`, and `masks` or, of recordings, `couplings`.

    Args:
        run: with metrics and weights.
        task: what it trained.
        names: of figures; empty: all.

    Raises:
        UserError: an unknown name, or a run without weights.
    """
    if not run.weights_path.is_file():
        raise UserError(f"{run.folder} has no weights yet; go on with capsnet train --resume {run.folder}")
    measure = "dice" if task == "own-masks" else "accuracy"
    figures: dict[str, Callable[[], Figure]] = {"curves": lambda: draw_score_curves(run.metrics(), measure)}
    if task == "own-masks":
        figures["masks"] = lambda: _draw_test_masks(run)
    elif find_input_kind(run.config.data.name) == "recordings":
        figures["couplings"] = lambda: _draw_test_recordings(run)
    for name in names:
        if name not in figures:
            raise UserError(f"unknown figure {name!r}{suggest(name, list(figures))}")
    return {name: figures[name] for name in names or figures}


@styled
def draw_score_curves(rows: Sequence[Mapping[str, float]], measure: str) -> Figure:
    """Draw the loss and the score over epochs, for training and validation.

    Args:
        rows: of `metrics.csv`.
        measure: the score's column, `dice` or `accuracy`.

    Raises:
        UserError: no rows.
    """
    if not rows:
        raise UserError("metrics.csv has no rows yet")
    validated = any(f"validation_{measure}" in row for row in rows)
    subtitle = "Blue: training, measured during each epoch." + (" Orange: held-out validation." if validated else "")
    best = max((row for row in rows if f"validation_{measure}" in row), key=_rank(measure), default=None)
    if best is not None:
        subtitle += f" Dashed: epoch {best['epoch']:.4g}, whose weights were kept."
    figure = new_figure(8.0, 3.0, "Learning curves", subtitle)
    titles = {"loss": "Loss", "dice": "Dice coefficient", "accuracy": "Accuracy"}
    for left, name in ((0.75, "loss"), (4.65, measure)):
        axes = axes_at(figure, left, 0.55, 3.0, 2.0)
        _draw_line(axes, rows, name, BLUE)
        _draw_line(axes, rows, f"validation_{name}", ORANGE)
        if best is not None:
            axes.axvline(best["epoch"], color=GREY, linewidth=0.9, linestyle=(0, (3, 3)), zorder=0)
        axes.set_title(titles[name], pad=8)
        axes.set_xlabel("epoch")
        axes.set_ylim(0, 1.02 if name == measure else None)
        axes.set_xlim(0, 1.03 * rows[-1]["epoch"])
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=rows[-1]["epoch"] >= 3))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
    return figure


def _rank(measure: str) -> Callable[[Mapping[str, float]], tuple[float, float]]:
    """The order in which weights are better, as in training; of equal ones, the first is kept."""
    return lambda row: (row[f"validation_{measure}"], -row["validation_loss"])


def _draw_line(axes: Axes, rows: Sequence[Mapping[str, float]], name: str, color: str) -> None:
    points = [(row["epoch"], row[name]) for row in rows if name in row]
    if points:
        marker = "o" if len(points) <= 25 else ""
        axes.plot(*zip(*points, strict=True), color=color, linewidth=1.5, marker=marker, markersize=3)


def _draw_test_masks(run: Run) -> Figure:
    """The first test images with their true masks and those of the run's best weights."""
    size = run.config.data.image_size
    test, model = load_masks(run.config.data.name, (size, size)).test, load_segmenter(run.weights_path)
    shown = test.pick(torch.arange(min(_MASKS, len(test))))
    images, masks = (torch.stack(part) for part in zip(*(shown[k] for k in range(len(shown))), strict=True))
    predicted = torch.stack([segment(model, image) for image in images])
    rows = {"true": masks, run.config.model.name: predicted}
    return draw_masks(images, rows, model.class_names, "Masks of the first test images")


def _draw_test_recordings(run: Run) -> Figure:
    """The first test recordings with couplings over time and class lengths."""
    test, model = load_recordings(run.config.data.name).test, load_sequence_model(run.weights_path)
    # one of each class, not only of the first
    firsts = [int((test.labels == label).nonzero()[0, 0]) for label in sorted(set(test.labels.tolist()))]
    rows = list(dict.fromkeys([*firsts, *range(len(test))]))[:_RECORDINGS]
    spectrograms = [test.sequences[row, :, : int(test.lengths[row])] for row in rows]
    names = [f"true: {test.class_names[int(test.labels[row])]}" for row in rows]
    return draw_couplings(model, spectrograms, names, class_lengths=True)

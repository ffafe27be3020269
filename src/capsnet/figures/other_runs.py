"""The figures of a run that trained a segmentation model or a model of sequences."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from capsnet.data.mask_folder import MaskFolder
from capsnet.data.sequences import SequenceData
from capsnet.data.spectrogram import HOP
from capsnet.errors import UserError
from capsnet.figures.confusion import draw_confusion
from capsnet.figures.masks import draw_masks
from capsnet.figures.sequence import draw_couplings
from capsnet.figures.style import BLUE, GREY, ORANGE, axes_at, new_figure, styled
from capsnet.inference import Evaluation
from capsnet.inference.find_samples import find_masks, find_sequences
from capsnet.inference.mask_evaluation import evaluate_masks, mask_tensors
from capsnet.models import SegmentationModel, SequenceModel, load_segmenter, load_sequence_model
from capsnet.registry import suggest
from capsnet.runs.folder import Run
from capsnet.runs.results import read_mask_result
from capsnet.training.task import Task

_TITLES = {"loss": "Loss", "dice": "Dice coefficient", "accuracy": "Accuracy"}
_MASKS, _SEQUENCES, _MOST_SEQUENCES = 6, 4, 12


class OtherFigure(NamedTuple):
    """A figure of a run.

    Args:
        draw: draws it.
        describe: its caption, computed from what it shows.
        charts: whether it has lines and bars only; in dark mode a report inverts these, and dims pictures.
    """

    draw: Callable[[], Figure]
    describe: Callable[[], str]
    charts: bool = False


def other_figures(run: Run, task: Task, names: Sequence[str] = ()) -> dict[str, OtherFigure]:
    """The figures of a run by name: `curves`, and `masks`, or `couplings` and `confusion`.

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
    figures = {
        "curves": OtherFigure(
            lambda: draw_score_curves(run.metrics(), measure), lambda: describe_curves(run.metrics(), measure), True
        )
    }
    figures |= _mask_figures(_TestMasks(run)) if task == "own-masks" else _sequence_figures(_TestSequences(run))
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
    for left, name in ((0.75, "loss"), (4.65, measure)):
        axes = axes_at(figure, left, 0.55, 3.0, 2.0)
        _draw_line(axes, rows, name, BLUE)
        _draw_line(axes, rows, f"validation_{name}", ORANGE)
        if best is not None:
            axes.axvline(best["epoch"], color=GREY, linewidth=0.9, linestyle=(0, (3, 3)), zorder=0)
        axes.set_title(_TITLES[name], pad=8)
        axes.set_xlabel("epoch")
        axes.set_ylim(0, 1.02 if name == measure else None)
        axes.set_xlim(0, 1.03 * rows[-1]["epoch"])
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=rows[-1]["epoch"] >= 3))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
    return figure


def describe_curves(rows: Sequence[Mapping[str, float]], measure: str) -> str:
    """How loss and score changed in training, and which weights were kept."""
    first, last = rows[0], rows[-1]
    word = _TITLES[measure]
    text = (
        f"From epoch {first['epoch']:.4g} to {last['epoch']:.4g} the training loss went from {first['loss']:.3f} to "
        f"{last['loss']:.3f}, the {word.lower() if measure == 'accuracy' else word} from {100 * first[measure]:.1f} to "
        f"{100 * last[measure]:.1f} %."
    )
    best = max((row for row in rows if f"validation_{measure}" in row), key=_rank(measure), default=None)
    if best is None:
        return f"{text} No samples were held out for validation: the last weights were kept."
    return (
        f"{text} On validation it was best at epoch {best['epoch']:.4g}, {100 * best[f'validation_{measure}']:.1f} %; "
        "these weights were kept."
    )


def _rank(measure: str) -> Callable[[Mapping[str, float]], tuple[float, float]]:
    """The order in which weights are better, as in training; of equal ones, the first is kept."""
    return lambda row: (row[f"validation_{measure}"], -row["validation_loss"])


def _draw_line(axes: Axes, rows: Sequence[Mapping[str, float]], name: str, color: str) -> None:
    points = [(row["epoch"], row[name]) for row in rows if name in row]
    if points:
        marker = "o" if len(points) <= 25 else ""
        axes.plot(*zip(*points, strict=True), color=color, linewidth=1.5, marker=marker, markersize=3)


class _TestMasks:
    """The test images of a run with the masks of its best weights."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @cached_property
    def model(self) -> SegmentationModel:
        return load_segmenter(self.run.weights_path)

    @cached_property
    def data(self) -> MaskFolder:
        return find_masks(self.model, run=self.run).data

    @cached_property
    def dice(self) -> Float[Tensor, " m"]:
        """The Dice coefficient of each image."""
        files = evaluate_masks(self.model, self.data, name=self.run.config.data.name, split="test").files
        return torch.tensor([row["dice"] for row in files])

    @property
    def first(self) -> Int[Tensor, " r"]:
        return torch.arange(min(_MASKS, len(self.data)))

    @property
    def worst(self) -> Int[Tensor, " r"]:
        return self.dice.argsort(stable=True)[:_MASKS]

    def draw(self, rows: Int[Tensor, " r"], title: str) -> Figure:
        """Draw images with their true masks and those of the model."""
        images, masks = mask_tensors(self.data.pick(rows), self.model)
        predicted = self.model.segment(images)
        return draw_masks(images, {"true": masks, self.run.config.model.name: predicted}, self.model.class_names, title)

    def describe(self, rows: Int[Tensor, " r"], which: str) -> str:
        """A sentence on images, after "The"."""
        low, high = (100 * float(value) for value in (self.dice[rows].min(), self.dice[rows].max()))
        return (
            f"The {which}: the image, its true masks, and the masks of the selected weights, at the size of the "
            f"network. Their Dice is from {low:.1f} to {high:.1f} %; the mean over all {len(self.data):,} test images "
            f"is {100 * float(self.dice.mean()):.1f} %."
        )


def _mask_figures(test: _TestMasks) -> dict[str, OtherFigure]:
    """The first test images, and where there are more those of the lowest Dice."""
    figures = {
        "masks": OtherFigure(
            lambda: test.draw(test.first, "Masks of the first test images"),
            lambda: test.describe(test.first, f"first {len(test.first)} test images"),
        )
    }
    result = read_mask_result(test.run.folder)
    if result is not None and result["test"]["n"] > _MASKS:
        figures["worst"] = OtherFigure(
            lambda: test.draw(test.worst, "Masks of the test images of lowest Dice"),
            lambda: test.describe(test.worst, f"{_MASKS} test images of lowest Dice"),
        )
    return figures


class _TestSequences:
    """The test sequences of a run with its best weights."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @cached_property
    def model(self) -> SequenceModel:
        return load_sequence_model(self.run.weights_path)

    @cached_property
    def data(self) -> SequenceData:
        return find_sequences(self.model, run=self.run).data

    @cached_property
    def shown(self) -> list[list[int]]:
        """Rows of the sequences in each figure: the first of each class, then the first ones."""
        labels = self.data.labels
        firsts = [int((labels == label).nonzero()[0, 0]) for label in sorted(set(labels.tolist()))][:_MOST_SEQUENCES]
        count = max(len(firsts), min(_SEQUENCES, len(self.data)))
        rows = list(dict.fromkeys([*firsts, *range(len(self.data))]))[:count]
        return [rows[start : start + _SEQUENCES] for start in range(0, count, _SEQUENCES)]

    @property
    def noun(self) -> str:
        return "series" if self.data.preparation is None else "recordings"

    def draw(self, number: int) -> Figure:
        """Draw sequences with couplings over time and class lengths."""
        data, rows = self.data, self.shown[number]
        sequences = [data.sequences[row, :, : int(data.lengths[row])] for row in rows]
        names = [f"true: {data.class_names[int(data.labels[row])]}" for row in rows]
        step = None if data.preparation is None else HOP
        return draw_couplings(self.model, sequences, names, step, class_lengths=True)

    @torch.no_grad()
    def describe(self, number: int) -> str:
        part = self.data.pick(torch.tensor(self.shown[number]))
        correct = int((self.model(part.sequences, part.lengths).lengths.argmax(dim=1) == part.labels).sum())
        return (
            f"{len(part)} of {len(self.data):,} test {self.noun}: the first of each class, then the first in the order "
            f"of the data. {correct} of these {len(part)} are classified correctly."
        )


def _sequence_figures(test: _TestSequences) -> dict[str, OtherFigure]:
    """Couplings of the first sequence of each class, and the confusion of classes if the run is finished."""
    figures = {
        "couplings" if number == 0 else f"couplings-{number + 1}": OtherFigure(
            partial(test.draw, number), partial(test.describe, number)
        )
        for number in range(_count_figures(test))
    }
    result = test.run.evaluation()
    if result is not None:
        tested = Evaluation.from_dict(result["test"])
        names, noun = tested.class_names or (), f"test {tested.noun}"
        figures["confusion"] = OtherFigure(
            lambda: draw_confusion(tested.confusion, names, noun),
            lambda: (
                "Which classes are confused with which. The diagonal counts correct predictions; a coloured cell "
                f"counts {tested.noun} of the row's class that were predicted as the column's."
            ),
            True,
        )
    return figures


def _count_figures(test: _TestSequences) -> int:
    """One figure for each four classes; one if the data are missing, which it then reports."""
    try:
        return len(test.shown)
    except UserError:
        return 1

"""Learning curves: losses and error over epochs."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from capsnet.errors import UserError
from capsnet.figures.lines import log_axis
from capsnet.figures.style import BLUE, GREEN, GREY, ORANGE, axes_at, new_figure, styled
from capsnet.figures.subject import Subject, add_figure
from capsnet.inference.evaluate import Evaluation
from capsnet.runs.built import loss_words

Row = Mapping[str, float]
# with more rows, a running mean is drawn over them
_MANY_ROWS = 40
# overfitting: minimum number of validations, and minimum rise of the validation loss in percent
_FEWEST, _RISE = 3, 10


@styled
def draw_curves(
    rows: Sequence[Row],
    *,
    best_step: int | None = None,
    test: Evaluation | None = None,
    loss: str = "margin loss",
    noun: str = "images",
) -> Figure:
    """Draw class loss, error, reconstruction loss and total loss for training and validation.

    Args:
        rows: of `metrics.csv`.
        best_step: step of the selected checkpoint; None: the best validation row's.
        test: the test result, shown beside the error.
        loss: name of the loss in the column `margin_loss`.
        noun: what the errors count: images or pairs.

    Raises:
        UserError: no rows.
    """
    if not rows:
        raise UserError("metrics.csv has no rows yet")
    best = _best_row(rows, best_step)
    window = 1 if len(rows) <= _MANY_ROWS else 2 * (len(rows) // 60) + 3
    validated = any("validation_accuracy" in row for row in rows)
    subtitle = "On training batches"
    subtitle += f" (bold: mean of {window} rows of metrics.csv)" if window > 1 else ""
    subtitle += " and on held-out validation images." if validated else "."
    decoded = any(row["reconstruction_loss"] > 0 for row in rows)
    if decoded:
        subtitle += " Reconstruction loss: sum of squared pixel errors. Total loss: the training objective."
    height = 6.3 if decoded else 3.35
    figure = new_figure(8.0, height, "Learning curves", subtitle)
    bottom = height - 2.95
    titles = {**_TITLES, "margin_loss": loss.capitalize(), "error": f"Error, % of {noun}"}
    loss_axes = axes_at(figure, 0.75, bottom, 3.0, 2.15)
    _panel(loss_axes, rows, "margin_loss", "validation_loss", best, window, titles)
    error_axes = axes_at(figure, 4.65, bottom, 3.0, 2.15)
    errors = [_with_errors(row) for row in rows]
    _panel(error_axes, errors, "error", "validation_error", _with_errors(best) if best else None, window, titles)
    if test is not None:
        _mark_test(error_axes, test)
    _ticks(error_axes)
    if decoded:
        _panel(axes_at(figure, 0.75, 0.55, 3.0, 1.95), rows, "reconstruction_loss", "", best, window, titles)
        _panel(axes_at(figure, 4.65, 0.55, 3.0, 1.95), rows, "loss", "", best, window, titles)
    _legend(figure, height, validated, best, test)
    return figure


def _best_row(rows: Sequence[Row], best_step: int | None) -> Row | None:
    validated = [row for row in rows if "validation_accuracy" in row]
    if best_step is not None:
        return next((row for row in validated if row["step"] == best_step), None)
    return max(validated, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]), default=None)


def _with_errors(row: Row) -> Row:
    pairs = (("accuracy", "error"), ("validation_accuracy", "validation_error"))
    return {**row, **{error: 100 * (1 - row[name]) for name, error in pairs if name in row}}


_TITLES = {
    "loss": "Total loss",
    "reconstruction_loss": "Reconstruction loss",
}


def _panel(
    axes: Axes,
    rows: Sequence[Row],
    name: str,
    validation: str,
    best: Row | None,
    window: int,
    titles: Mapping[str, str],
) -> None:
    epochs, values = np.array([[row["epoch"], row[name]] for row in rows]).T
    if window > 1:
        axes.plot(epochs, values, color=BLUE, linewidth=0.7, alpha=0.3, gid="row")
        axes.plot(epochs, _running_mean(rows, values, window), color=BLUE, linewidth=1.8)
    else:
        marker = "o" if len(rows) <= 25 else ""
        axes.plot(epochs, values, color=BLUE, linewidth=1.5, marker=marker, markersize=3)
    points = [(row["epoch"], row[validation]) for row in rows if validation in row]
    if points:
        marker = "o" if len(points) <= 25 else ""
        axes.plot(*np.array(points).T, color=ORANGE, linewidth=1.8, marker=marker, markersize=4)
    if best is not None:
        axes.axvline(best["epoch"], color=GREY, linewidth=0.9, linestyle=(0, (3, 3)), zorder=0, gid="best")
        if validation in best:
            axes.plot(best["epoch"], best[validation], "o", color="white", markeredgecolor=ORANGE, markersize=8)
            axes.plot(best["epoch"], best[validation], "o", color=ORANGE, markersize=4)
    axes.set_title(titles[name], pad=8)
    axes.set_xlim(0, max(float(epochs[-1]) * 1.03, 0.01))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=bool(epochs[-1] >= 3)))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set_xlabel("epoch")
    _ticks(axes)


def _running_mean(rows: Sequence[Row], values: np.ndarray, window: int) -> np.ndarray:
    """Centred running mean, weighted by the steps of each row; the window is narrower at both ends."""
    weights = np.diff([row["step"] for row in rows], prepend=0.0)
    sums, totals = (np.concatenate([[0.0], np.cumsum(part)]) for part in (weights * values, weights))
    places = np.arange(len(rows))
    half = np.minimum(window // 2, places)
    low, high = places - half, np.minimum(places + half + 1, len(rows))
    means: np.ndarray = (sums[high] - sums[low]) / (totals[high] - totals[low])
    return means


def _ticks(axes: Axes) -> None:
    """Use a logarithmic axis if values span a factor of 8 or more; include 0 if one of them is 0."""
    # ignore single rows, which may leave the axis, and the vertical line of the best step
    lines = [line for line in axes.lines if line.get_gid() not in ("best", "row")]
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in lines])
    positive = drawn[drawn > 0]
    if len(positive) == 0 or positive.max() < 8 * positive.min():
        axes.set_yscale("linear")
        axes.set_ylim(bottom=0)
        return
    low, high = float(positive.min()), float(positive.max())
    zero = bool((drawn <= 0).any())
    if zero:
        axes.set_yscale("symlog", linthresh=low, linscale=0.4)
        axes.set_ylim(0, high * 1.25)
    else:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.25, high * 1.25)
    log_axis(axes.yaxis, low / 1.25, high * 1.25)
    if zero:
        axes.set_yticks([0, *axes.get_yticks()])


def _mark_test(axes: Axes, test: Evaluation) -> None:
    """Mark the test error and its interval at the right end."""
    place, (low, high) = axes.get_xlim()[1], test.error_interval
    error = test.error_percent
    axes.plot([place, place], [low, high], color=GREEN, linewidth=2, clip_on=False)
    axes.plot([place], [error], "D", color=GREEN, markersize=6, clip_on=False)


def _legend(figure: Figure, height: float, validated: bool, best: Row | None, test: Evaluation | None) -> None:
    entries = [Line2D([], [], color=BLUE, linewidth=1.8, label="training")]
    if validated:
        entries.append(Line2D([], [], color=ORANGE, linewidth=1.8, marker="o", markersize=4, label="validation"))
    if best is not None:
        selected = f"selected checkpoint (step {best['step']:,.0f})"
        entries.append(Line2D([], [], color=GREY, linewidth=0.9, linestyle=(0, (3, 3)), label=selected))
    if test is not None:
        label = f"test {test.error_percent:.2f} %, 95 % interval"
        entries.append(Line2D([], [], color=GREEN, linewidth=2, marker="D", markersize=6, label=label))
    top = (height - 0.02) / figure.get_size_inches()[1]
    figure.legend(handles=entries, loc="upper left", bbox_to_anchor=(0.024, top), ncols=4, frameon=False, fontsize=8.5)


def describe_learning(rows: Sequence[Row]) -> str:
    """Whether the validation loss rose while the training loss fell, from the rows of `metrics.csv`."""
    points = [row for row in rows if "validation_loss" in row]
    if not points:
        return "Learning curves. Without held-out images they cannot show overfitting."
    if len(points) < _FEWEST:
        few = "One validation is" if len(points) == 1 else f"{len(points)} validations are"
        return f"Learning curves. {few} too few to show overfitting."
    best, last = min(points, key=lambda row: row["validation_loss"]), points[-1]
    if best is last:
        return "Learning curves. The validation loss is lowest at the end: no sign of overfitting."
    where = f"lowest after epoch {best['epoch']:.3g} of {last['epoch']:.3g}"
    rise = 100 * (last["validation_loss"] / max(best["validation_loss"], 1e-12) - 1)
    fell = last["margin_loss"] < best["margin_loss"]
    text = f"Learning curves. The validation loss was {where} and is {rise:.0f} % higher at the end"
    if rise >= _RISE and fell:
        return f"{text}, while the training loss kept falling: overfitting."
    return f"{text}: {'no clear sign of overfitting' if fell else 'the training loss rose as well'}."


def _draw(subject: Subject) -> Figure:
    result = subject.run.evaluation()
    test = Evaluation.from_dict(result["test"]) if result else None
    config = subject.run.config
    return draw_curves(
        subject.run.metrics(),
        best_step=result["best_step"] if result else None,
        test=test,
        loss=loss_words(config),
        noun="images" if test is None else test.noun,
    )


add_figure(
    "curves",
    _draw,
    caption=lambda subject: describe_learning(subject.run.metrics()),
    place=10,
    charts=True,
)

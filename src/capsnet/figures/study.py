"""Figures of a study: test errors beside the paper's, and learning curves with a band over seeds."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from capsnet.errors import UserError
from capsnet.figures.lines import line_style, log_axis, number
from capsnet.figures.style import BLUE, GREY, INK, ORANGE, axes_at, labels, new_figure, plain, styled
from capsnet.runs.folder import Run
from capsnet.studies.study import STUDIES
from capsnet.studies.table import RowEntry, Table

_WIDTH, _ROW = 8.0, 0.36
# width of a label's character in inches
_CHARACTER = 0.071
# errors with a larger ratio are drawn on a logarithmic axis
_SPAN = 30


@styled
def draw_study(table: Table, folder: Path, kind: Literal["points", "curves"] = "points") -> Figure:
    """Draw a study.

    Args:
        table: results of its runs.
        folder: the study's, with `runs/`.
        kind: `"points"`, or `"curves"` for learning curves above them.

    Raises:
        UserError: no run is finished.
    """
    if "sweep" in table:
        table = {**table, "rows": [_validated(row) for row in table["rows"]]}
    rows = [row for row in table["rows"] if row["mean"] is not None]
    if not rows:
        raise UserError(f"{table['study']}: no run is finished")
    points = _ROW * len(table["rows"]) + 1.15
    curves = 3.35 if kind == "curves" else 0.0
    figure = new_figure(_WIDTH, points + curves, _title(table), _subtitle(table, kind))
    left = max(0.75, 0.35 + _CHARACTER * max(map(len, _names(table["rows"]))))
    _points(figure, left, _WIDTH - left - 1.0, table)
    _points_legend(figure, table)
    if kind == "curves":
        # networks that are tested together have no training of their own
        _draw_curves(figure, points, [row for row in rows if "networks" not in row], folder)
    return figure


def _names(rows: Sequence[RowEntry]) -> list[str]:
    """The rows' labels, of which the plot leaves room for 46 characters; cut ones that would be equal are numbered."""
    return labels([row["label"] for row in rows], 46)


def _draw_curves(figure: Figure, points: float, rows: Sequence[RowEntry], folder: Path) -> None:
    """Loss and error of each row side by side above the points, names at the right."""
    curves_by_row = [(row, _curves(row, folder)) for row in rows]
    names = ["\n".join(wrap(name, 16)) for name in _names(rows)]
    legend = max(0.88, 0.5 + _CHARACTER * max(len(line) for name in names for line in name.splitlines()))
    width = (_WIDTH - 1.92 - legend) / 2
    left = axes_at(figure, 0.8, points + 0.55, width, 2.25)
    right = axes_at(figure, 1.7 + width, points + 0.55, width, 2.25)
    models = {run.config.model.name for row in rows for run in _runs(row, folder)}
    _band_panel(left, curves_by_row, 0, "Each model's own loss" if len(models) > 1 else "Training class loss")
    _band_panel(right, curves_by_row, 1, "Training error, % of images")
    handles = [_handle(index) for index in range(len(curves_by_row))]
    place = ((_WIDTH - legend) / _WIDTH, (points + 2.8) / figure.get_size_inches()[1])
    figure.legend(handles, names, loc="upper left", bbox_to_anchor=place, frameon=False, fontsize=8.5)


def _validated(row: RowEntry) -> RowEntry:
    """A row of a sweep with its validation errors in place of its test errors: they rank it."""
    if "validation_errors" not in row:
        return row
    return {
        **row,
        "errors": row["validation_errors"],
        "mean": row["validation_mean"],
        "std": row["validation_std"],
        "interval": row["validation_interval"],
    }


def _handle(index: int) -> Line2D:
    color, marker, dashes = line_style(index)
    return Line2D([], [], color=color, marker=marker, markersize=4, linestyle=dashes, linewidth=1.7)


def _title(table: Table) -> str:
    """The study's one-line summary."""
    if table["study"] in STUDIES:
        return STUDIES.get(table["study"]).summary
    title = table["title"][:1].upper() + table["title"][1:]
    return plain(title, 72)


def _subtitle(table: Table, kind: str) -> str:
    if "sweep" in table:
        return table["schedule"] + ". Rows are ranked by validation error."
    budget = table["title"].removeprefix(f"{table['study']}, ")
    text = f"{budget[:1].upper()}{budget[1:]}. " if table["study"] in STUDIES else ""
    text += table["schedule"][:1].upper() + table["schedule"][1:] + "."
    if table["changes"]:
        text += " Changed: " + ", ".join(f"{name} = {value}" for name, value in table["changes"].items()) + "."
    if kind == "curves" and max(row["n"] for row in table["rows"]) > 1:
        text += " Curves: mean over seeds; band: lowest to highest seed."
    return text


def _points(figure: Figure, left: float, width: float, table: Table) -> None:
    """One row of dots for each row of the table; the paper's on a separate axis if far from ours."""
    rows, height = table["rows"], _ROW * len(table["rows"])
    ours = [value for row in rows for value in (*row["errors"], *(row["interval"] or ()))]
    papers = [
        row["paper"]["error"] + sign * (row["paper"]["std"] or 0) for row in rows if row["paper"] for sign in (-1, 1)
    ]
    if papers and min(ours) > 2 * max(papers):
        share, gap = 0.3 * width, 0.3
        other = axes_at(figure, left, 0.85, share, height)
        axes = axes_at(figure, left + share + gap, 0.85, width - share - gap, height)
        other.set_title("Reported", pad=6)
        axes.set_title("Ours, with this budget", pad=6)
        _lay_out(other, rows, [0.0, *papers])
        _lay_out(axes, rows, ours)
        axes.set_yticklabels([])
    else:
        other = axes = axes_at(figure, left, 0.85, width, height)
        _lay_out(axes, rows, papers + ours)
    if any(row["mean"] is not None for row in rows):
        scatter = " ± std" if any(row["std"] is not None and row["n"] > 2 for row in rows) else ""
        where = axes.get_yaxis_transform()
        several = max(row["n"] for row in rows) > 1
        axes.text(
            1.0, -0.62, f"  mean{scatter}" if several else "  error", transform=where, va="bottom", size=8.5, color=GREY
        )
    for place, row in enumerate(rows):
        # on an axis with ours a little higher, so that a mean that is the paper's does not hide it
        _draw_paper(other, row, place - (0.24 if other is axes else 0.0))
        _draw_ours(axes, row, place)


def _lay_out(axes: Axes, rows: Sequence[RowEntry], values: Sequence[float]) -> None:
    """Label the rows; use a logarithmic axis if the errors span orders of magnitude."""
    for place in range(0, len(rows), 2):
        axes.axhspan(place - 0.5, place + 0.5, color="#F6F6F6", linewidth=0, zorder=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), _names(rows))
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    pairs = any("digit_mean" in row for row in rows)
    validated = any("validation_errors" in row for row in rows)
    axes.set_xlabel("validation error, %" if validated else "exact-pair error, %" if pairs else "test error, %")
    low, high = min(values), max(values)
    if high > _SPAN * low > 0:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.3, high * 1.2)
        log_axis(axes.xaxis, low / 1.3, high * 1.2)
    else:
        # start at zero, unless that would crowd all values
        room = 0.25 * (high - low) or 0.25 * high
        axes.set_xlim(0 if low < 0.5 * high else max(low - room, 0), high + room)
        axes.xaxis.set_major_locator(MaxNLocator(max(3, int(axes.get_position().width * 10))))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def _draw_paper(axes: Axes, row: RowEntry, place: float) -> None:
    paper = row["paper"]
    if paper is not None:
        spread = paper["std"] or 0.0
        axes.plot([paper["error"] - spread, paper["error"] + spread], [place, place], color=ORANGE, linewidth=1.8)
        axes.plot(paper["error"], place, "D", color=ORANGE, markersize=5.5, gid="paper")


def _draw_ours(axes: Axes, row: RowEntry, place: int) -> None:
    interval, mean = row["interval"], row["mean"]
    if mean is None or interval is None:
        return
    axes.plot(interval, [place, place], color=BLUE, linewidth=1.8, solid_capstyle="butt")
    # a little lower, so that a seed near the mean stays visible
    if row["n"] > 1:
        below = [place + 0.24] * len(row["errors"])
        axes.plot(row["errors"], below, "|", color=BLUE, markersize=6, markeredgewidth=1.2)
    axes.plot(mean, place, "o", color=BLUE, markersize=6, gid="ours")
    scatter = f" ± {row['std']:.2f}" if row["std"] is not None and row["n"] > 2 else ""
    where = axes.get_yaxis_transform()
    axes.text(1.0, place, f"  {mean:.2f}{scatter}", transform=where, va="center", ha="left", size=8.5, color=BLUE)


def _points_legend(figure: Figure, table: Table) -> None:
    seeds = max(row["n"] for row in table["rows"])
    word = "mean" if seeds > 1 else "one seed"
    mean = f"ours: {word}, 95 % interval (test images)"
    if "sweep" in table:
        mean = f"{word}, 95 % interval (pooled validation images)"
    handles: list[Line2D | Patch] = [Line2D([], [], color=BLUE, marker="o", linewidth=1.8, label=mean)]
    if seeds > 1:
        handles.append(Line2D([], [], color=BLUE, marker="|", linewidth=0, label="individual seeds"))
    papers = [row["paper"] for row in table["rows"] if row["paper"] is not None]
    if papers:
        spread = any(paper["std"] for paper in papers)
        after = max((row.get("reported_after", 0) for row in table["rows"]), default=0)
        name = f"reported after {after} epochs" if after else "reported"
        name += ": mean ± std" if spread else ""
        width = 1.8 if spread else 0
        handles.append(Line2D([], [], color=ORANGE, marker="D", linewidth=width, markersize=5.5, label=name))
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.03, 0.0),
        ncols=3,
        frameon=False,
        fontsize=8.5,
        labelcolor=GREY,
    )


Curves = tuple[np.ndarray, np.ndarray, np.ndarray]


def _runs(row: RowEntry, folder: Path) -> list[Run]:
    return [Run.open(folder / "runs" / f"{row['name']}-seed{seed}") for seed in row["seeds"]]


def _curves(row: RowEntry, folder: Path) -> Curves:
    """Steps, and the training loss and error in percent of each seed."""
    runs = [run.metrics() for run in _runs(row, folder)]
    length = min(len(metrics) for metrics in runs)
    steps = np.array([line["step"] for line in runs[0][:length]])
    losses = np.array([[line["margin_loss"] for line in metrics[:length]] for metrics in runs])
    errors = np.array([[100 * (1 - line["accuracy"]) for line in metrics[:length]] for metrics in runs])
    return steps, losses, errors


def _band_panel(axes: Axes, curves_by_row: Sequence[tuple[RowEntry, Curves]], which: int, title: str) -> None:
    lowest, highest, zero = float("inf"), 0.0, False
    lengths = {int(steps[-1]) for _, (steps, *_) in curves_by_row}
    for index, (_, (steps, *values)) in enumerate(curves_by_row):
        # steps of batches of several sizes cannot be compared, shares of the whole training can
        if len(lengths) > 1:
            steps = 100 * steps / steps[-1]
        chosen, (color, marker, dashes) = values[which], line_style(index)
        mean = chosen.mean(axis=0)
        if len(chosen) > 1:
            axes.fill_between(steps, chosen.min(axis=0), chosen.max(axis=0), color=color, alpha=0.12, linewidth=0)
        # stagger the markers so that lines do not hide one another
        every = max(1, len(steps) // 5)
        axes.plot(
            steps,
            mean,
            color=color,
            linewidth=1.5,
            linestyle=dashes,
            marker=marker,
            markersize=4,
            markevery=(index * every // max(len(curves_by_row), 1), every),
        )
        lowest = min(lowest, float(mean[mean > 0].min(initial=np.inf)))
        highest = max(highest, float(mean.max()))
        zero = zero or bool((mean <= 0).any())
    axes.set_title(title, pad=8)
    if zero and lowest < highest:
        # linear between 0 and the lowest value, which a logarithmic axis has not
        axes.set_yscale("symlog", linthresh=lowest, linscale=0.4)
        axes.set_ylim(0, highest * 1.3)
    else:
        axes.set_yscale("log")
        axes.set_ylim(lowest / 1.4, highest * 1.3)
    log_axis(axes.yaxis, lowest / 1.4, highest * 1.3)
    if axes.get_yscale() == "symlog":
        axes.set_yticks([0, *axes.get_yticks()])
    axes.set_xlim(left=0)
    axes.set_xlabel("step" if len(lengths) == 1 else "share of the training, %")
    axes.grid(axis="y")
    axes.set_axisbelow(True)

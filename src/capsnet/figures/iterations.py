"""Accuracy, class flips, coupling and loss over the number of routing iterations."""

from collections.abc import Sequence
from typing import cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from capsnet.analysis.iterations import IterationStatistics, IterationStep
from capsnet.analysis.statistics import Share
from capsnet.figures.style import BLUE, GREY, ORANGE, axes_at, new_figure, styled
from capsnet.figures.subject import Subject, add_figure


@styled
def draw_iterations(results: IterationStatistics, n: int) -> Figure:
    """Draw how a trained model behaves with other numbers of routing iterations.

    Args:
        results: of the analysis.
        n: number of images.
    """
    subtitle = (
        f"The trained model's votes on {n:,} images, routed with other numbers of iterations, without retraining. "
        f"Dashed: the {results['own']} used in training. Bands: 95 % intervals (Wilson)."
    )
    figure = new_figure(8.0, 4.95, "Effect of routing iterations", subtitle)
    panels = [axes_at(figure, left, bottom, 3.1, 1.6) for bottom in (2.95, 0.5) for left in (0.75, 4.6)]
    steps = results["steps"]
    _draw_shares(panels[0], steps, [step["accuracy"] for step in steps], "Accuracy, %")
    flips = [step["flipped_from_first"] for step in steps]
    _draw_shares(panels[1], steps, flips, "Predictions that differ from one iteration, %")
    changed = [step for step in steps if step["coupling_change"] is not None]
    panels[2].plot(
        [step["iterations"] for step in changed],
        [100 * (step["coupling_change"] or 0) for step in changed],
        color=BLUE,
        marker="o",
        markersize=4,
        label="changed by this iteration, %",
    )
    panels[2].plot(
        [step["iterations"] for step in steps],
        [100 * step["t_score"] for step in steps],
        color=ORANGE,
        marker="s",
        linestyle=(0, (5, 1.5)),
        markersize=4,
        label="T-score × 100",
    )
    panels[2].set_title("Coupling", pad=8)
    panels[2].set_ylim(bottom=0)
    panels[2].set_ylim(top=1.45 * panels[2].get_ylim()[1])
    # in front of the dashed line
    panels[2].legend(frameon=True, framealpha=1, edgecolor="none", fontsize=8.5, loc="upper left", borderpad=0.1)
    panels[3].plot(
        [step["iterations"] for step in steps],
        [step["margin_loss"] for step in steps],
        color=BLUE,
        marker="o",
        markersize=4,
    )
    panels[3].set_title("Margin loss", pad=8)
    panels[3].set_ylim(bottom=0)
    if results["random"] is not None:
        _draw_random(panels[0], results["random"]["accuracy"], steps[-1]["iterations"])
    for axes in panels:
        _finish(axes, steps, results["own"])
    return figure


def _draw_shares(axes: Axes, steps: Sequence[IterationStep], shares: Sequence[Share], title: str) -> None:
    counts = [step["iterations"] for step in steps]
    low, high = ([100 * share[end] for share in shares] for end in ("low", "high"))
    axes.fill_between(counts, low, high, color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(counts, [100 * share["share"] for share in shares], color=BLUE, marker="o", markersize=4, clip_on=False)
    axes.set_title(title, pad=8)
    lowest, highest = min(low), max(high)
    margin = max(0.15 * (highest - lowest), 0.5)
    axes.set_ylim(max(lowest - margin, 0) if lowest > 0 else 0, min(highest + margin, 100.4))


def _draw_random(axes: Axes, share: Share, last: int) -> None:
    """Accuracy with random coupling, at the right: a baseline for routing."""
    low, high = 100 * share["low"], 100 * share["high"]
    axes.plot([last + 0.8] * 2, [low, high], color=GREY, linewidth=1.6)
    axes.plot([last + 0.8], [100 * share["share"]], "D", color=GREY, markersize=5)
    axes.annotate(
        "random coupling",
        (last + 0.8, 100 * share["share"]),
        (-7, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        size=8.5,
        color=GREY,
    )
    axes.set_ylim(bottom=max(0.0, min(axes.get_ylim()[0], low - 1)))


def _finish(axes: Axes, steps: Sequence[IterationStep], own: int) -> None:
    counts = [step["iterations"] for step in steps]
    axes.axvline(own, color=GREY, linewidth=0.9, linestyle=(0, (3, 3)), zorder=0)
    axes.set_xticks(counts)
    axes.set_xlim(counts[0] - 0.4, counts[-1] + 1.1)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.locator_params(axis="y", nbins=5)
    axes.set_xlabel("routing iterations")


def _draw(subject: Subject) -> Figure:
    record = subject.record("iterations")
    return draw_iterations(cast(IterationStatistics, record["results"]), record["n"])


add_figure(
    "iterations",
    _draw,
    caption="If predictions do not change after one iteration, routing does not decide them. The loss may still "
    "change, because it depends on the lengths.",
    place=54,
    charts=True,
)

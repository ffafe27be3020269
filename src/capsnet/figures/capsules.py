"""Capsule lengths: of the capsules below the classes, and of the class capsules."""

from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from capsnet.analysis.capsules import CapsuleStatistics
from capsnet.analysis.statistics import Histogram
from capsnet.figures.style import BLUE, GREY, ORANGE, SKY, axes_at, new_figure, styled
from capsnet.figures.subject import Subject, add_figure


@styled
def draw_capsules(results: CapsuleStatistics, n: int) -> Figure:
    """Draw the distribution of capsule lengths.

    Args:
        results: of the analysis.
        n: number of images.
    """
    below = results["children"] > 0
    subtitle = f"Over {n:,} images. "
    if below:
        subtitle += (
            f"Left: each of the {results['children']:,} capsules below the classes, sorted by largest length; one that "
            f"never exceeds {results['threshold']:g} counts as dead. Right: "
        )
    subtitle += "class capsules."
    if results.get("targets"):
        subtitle += " Dashed: target lengths of the margin loss for the true class and for the others."
    figure = new_figure(8.0, 2.9, "Capsule lengths", subtitle)
    left = 4.6 if below else 0.75
    if below:
        _draw_children(axes_at(figure, 0.75, 0.55, 3.1, 1.95), results)
    _draw_classes(axes_at(figure, left, 0.55, 7.7 - left, 1.95), results)
    return figure


def _draw_children(axes: Axes, results: CapsuleStatistics) -> None:
    largest = np.asarray(results["largest"])
    order = np.argsort(-largest, kind="stable")
    places = np.arange(len(largest)) + 1
    means = np.asarray(results["means"])[order]
    axes.scatter(places, means, s=3, color=SKY, linewidths=0, label="mean")
    axes.plot(places, largest[order], color=BLUE, linewidth=1.8, label="largest")
    axes.axhline(results["threshold"], color=ORANGE, linewidth=1.2)
    dead = f"{results['dead']:,} dead"
    axes.annotate(
        dead,
        (1, results["threshold"]),
        (-2, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        va="bottom",
        size=8.5,
        weight="bold",
        color=ORANGE,
    )
    axes.set_xlim(0, len(largest))
    axes.set_ylim(0, max(float(largest.max()) * 1.05, 2 * results["threshold"]))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8.5, loc="center right", markerscale=3)
    axes.set_title("Capsules below the classes", pad=8)
    axes.set_xlabel("capsule, sorted by largest length")
    axes.set_ylabel("length")


def _draw_classes(axes: Axes, results: CapsuleStatistics) -> None:
    kinds = [("true class", results["present"], BLUE), ("other classes", results["absent"], ORANGE)]
    for name, counts, color in kinds:
        if sum(counts["counts"]):
            _step(axes, counts, name, color)
    for place in results.get("targets") or ():
        axes.axvline(place, color=GREY, linewidth=0.9, linestyle=(0, (3, 3)), zorder=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8.5, loc="upper center")
    axes.set_title("Class capsules", pad=8)
    axes.set_xlabel("length")
    axes.set_ylabel("% of the capsules")


def _step(axes: Axes, counts: Histogram, name: str, color: str) -> None:
    """A histogram in percent of its total, because absent classes far outnumber present ones."""
    shares = 100 * np.asarray(counts["counts"]) / sum(counts["counts"])
    axes.stairs(shares, counts["edges"], fill=True, color=color, alpha=0.25)
    axes.stairs(shares, counts["edges"], color=color, linewidth=1.6, label=name)


def _draw(subject: Subject) -> Figure:
    record = subject.record("capsules")
    return draw_capsules(cast(CapsuleStatistics, record["results"]), record["n"])


add_figure(
    "capsules",
    _draw,
    caption="Capsules that are short on every image may carry little information. The capsule of the true class should "
    "be long and all others short; overlap between the two means confused classes.",
    place=56,
    charts=True,
)

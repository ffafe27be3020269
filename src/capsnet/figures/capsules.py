"""How long capsules get: those below the classes over all images, and the class capsules."""

from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from capsnet.analysis.capsules import CapsuleStatistics
from capsnet.analysis.statistics import Histogram
from capsnet.figures.style import BLUE, GREY, ORANGE, SKY, axes_at, new_figure, styled
from capsnet.figures.subject import Subject, add_figure


@styled
def draw_capsules(found: CapsuleStatistics, n: int) -> Figure:
    """Draw the lengths of all capsules.

    Args:
        found: the numbers.
        n: images that they are of.
    """
    below = found["children"] > 0
    subtitle = f"Over {n:,} images. "
    if below:
        subtitle += (
            f"Left: each of the {found['children']:,} capsules below the classes, in the order of its largest length; "
            f"one that never exceeds {found['threshold']:g} is called dead. Right: "
        )
    subtitle += "class capsules."
    if found.get("targets"):
        subtitle += " Dashed: the lengths that the margin loss trains the true class and the others to."
    figure = new_figure(8.0, 2.9, "How long capsules get", subtitle)
    left = 4.6 if below else 0.75
    if below:
        _draw_children(axes_at(figure, 0.75, 0.55, 3.1, 1.95), found)
    _draw_classes(axes_at(figure, left, 0.55, 7.7 - left, 1.95), found)
    return figure


def _draw_children(axes: Axes, found: CapsuleStatistics) -> None:
    largest = np.asarray(found["largest"])
    order = np.argsort(-largest, kind="stable")
    places = np.arange(len(largest)) + 1
    means = np.asarray(found["means"])[order]
    axes.scatter(places, means, s=3, color=SKY, linewidths=0, label="mean")
    axes.plot(places, largest[order], color=BLUE, linewidth=1.8, label="largest")
    axes.axhline(found["threshold"], color=ORANGE, linewidth=1.2)
    dead = f"{found['dead']:,} dead"
    axes.annotate(
        dead,
        (1, found["threshold"]),
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
    axes.set_ylim(0, max(float(largest.max()) * 1.05, 2 * found["threshold"]))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8.5, loc="center right", markerscale=3)
    axes.set_title("Capsules below the classes", pad=8)
    axes.set_xlabel("capsule, by its largest length")
    axes.set_ylabel("length")


def _draw_classes(axes: Axes, found: CapsuleStatistics) -> None:
    kinds = [("true class", found["present"], BLUE), ("other classes", found["absent"], ORANGE)]
    for name, counts, color in kinds:
        if sum(counts["counts"]):
            _step(axes, counts, name, color)
    for place in found.get("targets") or ():
        axes.axvline(place, color=GREY, linewidth=0.9, linestyle=(0, (3, 3)), zorder=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8.5, loc="upper center")
    axes.set_title("Class capsules", pad=8)
    axes.set_xlabel("length")
    axes.set_ylabel("% of the capsules")


def _step(axes: Axes, counts: Histogram, name: str, color: str) -> None:
    """A histogram in percent of its own total: there are many more absent classes than present ones."""
    shares = 100 * np.asarray(counts["counts"]) / sum(counts["counts"])
    axes.stairs(shares, counts["edges"], fill=True, color=color, alpha=0.25)
    axes.stairs(shares, counts["edges"], color=color, linewidth=1.6, label=name)


def _draw(subject: Subject) -> Figure:
    record = subject.record("capsules")
    return draw_capsules(cast(CapsuleStatistics, record["results"]), record["n"])


add_figure(
    "capsules",
    _draw,
    caption="Capsules that stay short on every image say nothing. Of the class capsules, the true one should be long "
    "and all others short; where the two overlap, classes are mixed up.",
    place=56,
    charts=True,
)

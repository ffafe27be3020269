"""How sharply each capsule is routed, against its length, and how much that differs from image to image."""

from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from capsnet.analysis.routing import RoutingStatistics
from capsnet.figures.lines import log_axis
from capsnet.figures.style import BLUE, ORANGE, axes_at, new_figure, styled
from capsnet.figures.subject import Subject, add_figure

_LOWEST = 1e-6


@styled
def draw_routing(found: RoutingStatistics, n: int) -> Figure:
    """Draw T-scores, T-scores against lengths, and deviations over images.

    Args:
        found: the numbers.
        n: images that they are of.
    """
    subtitle = (
        f"T-score of the {found['children']:,} capsules below the {found['classes']} classes, mean over {n:,} images: "
        "0 where every class gets the same share of a capsule, 1 where one class gets all."
    )
    figure = new_figure(8.0, 2.75, "How sharply capsules are routed", subtitle)
    scores = np.maximum(found["t_scores"], _LOWEST)
    low = min(10 ** np.floor(np.log10(scores.min())), 0.1)
    panels = 3 if found["activations"] else 2
    gap = 0.78
    width = (8.0 - 0.7 - 0.3 - (panels - 1) * gap) / panels
    places = [0.7 + k * (width + gap) for k in range(panels)]
    _draw_scores(axes_at(figure, places[0], 0.55, width, 1.75), scores, low, found["t_score"])
    if found["activations"]:
        _draw_lengths(axes_at(figure, places[1], 0.55, width, 1.75), found, scores, low)
    _draw_deviations(axes_at(figure, places[-1], 0.55, width, 1.75), found)
    return figure


def _draw_scores(axes: Axes, scores: np.ndarray, low: float, mean: float) -> None:
    bins = np.logspace(np.log10(low), 0, 40)
    axes.hist(scores, bins=bins.tolist(), color=BLUE)
    axes.set_xscale("log")
    axes.set_xlim(low, 1)
    axes.axvline(max(mean, low), color=ORANGE, linewidth=1.6)
    left = np.log10(max(mean, low)) < np.log10(low) / 2
    axes.annotate(
        f"mean {mean:.2g}",
        (max(mean, low), 1),
        (4 if left else -4, -2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        color=ORANGE,
        weight="bold",
        size=8.5,
        ha="left" if left else "right",
        va="top",
    )
    axes.set_title("Sharpness", pad=8)
    axes.set_xlabel("T-score")
    log_axis(axes.xaxis, float(low), 1.0, most=4)
    axes.set_ylabel("capsules")


def _draw_lengths(axes: Axes, found: RoutingStatistics, scores: np.ndarray, low: float) -> None:
    axes.scatter(found["activations"], scores, s=5, color=BLUE, alpha=0.45, linewidths=0)
    axes.set_yscale("log")
    axes.set_ylim(low, 1)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set_title("Sharpness and length", pad=8)
    axes.set_xlabel("mean length of a capsule")
    axes.set_ylabel("T-score")
    log_axis(axes.yaxis, float(low), 1.0)


def _draw_deviations(axes: Axes, found: RoutingStatistics) -> None:
    deviations = np.asarray(found["coupling_stds"])
    axes.hist(deviations, bins=40, range=(0, max(float(deviations.max()), 1e-6)), color=BLUE)
    axes.axvline(found["coupling_std"], ymax=0.76, color=ORANGE, linewidth=1.6)
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=4)
    even = 1 / found["classes"]
    note = f"mean {found['coupling_std']:.2g}:\n{100 * found['coupling_std'] / even:.1f} % of an even share"
    axes.set_ylim(top=axes.get_ylim()[1] * 1.3)
    axes.text(0.98, 0.98, note, transform=axes.transAxes, ha="right", va="top", size=8.5, color=ORANGE, weight="bold")
    axes.set_title("Change over images", pad=8)
    axes.set_xlabel("deviation of a coupling (std)")
    axes.set_ylabel("capsules")


def _draw(subject: Subject) -> Figure:
    record = subject.record("routing")
    return draw_routing(cast(RoutingStatistics, record["results"]), record["n"])


add_figure(
    "routing",
    _draw,
    caption="Sharpness: how many capsules are routed how sharply. Sharpness and length, for children of several "
    "lengths: whether long capsules are routed more sharply. Change over images: how much a coupling differs from "
    "image to image; 0 would be a fixed weight.",
    place=52,
    charts=True,
)

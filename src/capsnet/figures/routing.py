"""Routing sharpness (T-score) of each capsule, against its length, and the variation of coupling between images."""

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
def draw_routing(results: RoutingStatistics, n: int) -> Figure:
    """Draw T-scores, T-scores against lengths, and standard deviations over images.

    Args:
        results: of the analysis.
        n: number of images.
    """
    subtitle = (
        f"T-score of the {results['children']:,} capsules below the {results['classes']} classes, mean over {n:,} "
        "images: 0 if a capsule is split evenly over the classes, 1 if one class gets all of it."
    )
    figure = new_figure(8.0, 2.75, "Routing sharpness", subtitle)
    scores = np.maximum(results["t_scores"], _LOWEST)
    low = min(10 ** np.floor(np.log10(scores.min())), 0.1)
    panels = 3 if results["activations"] else 2
    gap = 0.78
    width = (8.0 - 0.7 - 0.3 - (panels - 1) * gap) / panels
    places = [0.7 + k * (width + gap) for k in range(panels)]
    _draw_scores(axes_at(figure, places[0], 0.55, width, 1.75), scores, low, results["t_score"])
    if results["activations"]:
        _draw_lengths(axes_at(figure, places[1], 0.55, width, 1.75), results, scores, low)
    _draw_deviations(axes_at(figure, places[-1], 0.55, width, 1.75), results)
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


def _draw_lengths(axes: Axes, results: RoutingStatistics, scores: np.ndarray, low: float) -> None:
    axes.scatter(results["activations"], scores, s=5, color=BLUE, alpha=0.45, linewidths=0)
    axes.set_yscale("log")
    axes.set_ylim(low, 1)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set_title("Sharpness and length", pad=8)
    axes.set_xlabel("mean length of a capsule")
    axes.set_ylabel("T-score")
    log_axis(axes.yaxis, float(low), 1.0)


def _draw_deviations(axes: Axes, results: RoutingStatistics) -> None:
    deviations = np.asarray(results["coupling_stds"])
    axes.hist(deviations, bins=40, range=(0, max(float(deviations.max()), 1e-6)), color=BLUE)
    axes.axvline(results["coupling_std"], ymax=0.76, color=ORANGE, linewidth=1.6)
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=4)
    even = 1 / (results["classes"] + results["leaky"])
    note = f"mean {results['coupling_std']:.2g}:\n{100 * results['coupling_std'] / even:.1f} % of an even share"
    axes.set_ylim(top=axes.get_ylim()[1] * 1.3)
    axes.text(0.98, 0.98, note, transform=axes.transAxes, ha="right", va="top", size=8.5, color=ORANGE, weight="bold")
    axes.set_title("Variation between images", pad=8)
    axes.set_xlabel("std of a coupling coefficient")
    axes.set_ylabel("capsules")


def _draw(subject: Subject) -> Figure:
    record = subject.record("routing")
    return draw_routing(cast(RoutingStatistics, record["results"]), record["n"])


add_figure(
    "routing",
    _draw,
    caption="Left: distribution of routing sharpness. Middle (if lengths vary): whether longer capsules are routed "
    "more sharply. Right: how much coupling coefficients vary between images; 0 would be a fixed weight.",
    place=52,
    charts=True,
)

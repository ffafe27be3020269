"""Accuracy against the strength of rotation, shift, scaling and noise, with example inputs."""

from itertools import pairwise
from typing import cast

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from capsnet.analysis.robustness import Curve, RobustnessCurves, change_images
from capsnet.analysis.watch import view
from capsnet.figures.style import BLUE, GREY, axes_at, new_figure, styled
from capsnet.figures.subject import Subject, add_figure
from capsnet.figures.tiles import show, to_tiles

_WIDE, _TALL, _TILES = 3.15, 1.55, 8


@styled
def draw_robustness(results: RobustnessCurves, image: Tensor, *, seed: int, shift: int | float | None) -> Figure:
    """Draw an accuracy curve for each transform, above an image transformed to match the axis.

    Args:
        results: of the analysis.
        image: in [0, 1], `1 c h w`.
        seed: for random transforms.
        shift: largest training shift in pixels; None: the training is unknown.
    """
    clean, curves = results["clean"], results["curves"]
    subtitle = (
        f"Accuracy on {clean['n']:,} transformed test images. Bands: 95 % intervals "
        "(Wilson); dashed: chance. Below each curve: the first image at these strengths. "
    )
    if shift is not None:
        subtitle += (
            f"Training images were shifted by up to {shift:g} pixels." if shift else "Training images were not shifted."
        )
    cell = _WIDE / _TILES
    row = _TALL + cell * image.shape[2] / image.shape[3] + 1.1
    rows = -(-len(curves) // 2)
    figure = new_figure(8.0, rows * row + 0.05, "Robustness to rotation, shift, scaling and noise", subtitle)
    for place, curve in enumerate(curves):
        left = 0.7 + 3.8 * (place % 2)
        top = (rows - place // 2) * row - 0.35
        axes = axes_at(figure, left, top - _TALL, _WIDE, _TALL)
        _draw_curve(axes, curve, results["chance"])
        _draw_tiles(figure, axes, curve, image, seed, (left, top - _TALL, cell))
    return figure


def _draw_curve(axes: Axes, curve: Curve, chance: float) -> None:
    values, shares = curve["values"], curve["accuracy"]
    low, high = ([100 * share[end] for share in shares] for end in ("low", "high"))
    axes.fill_between(values, low, high, color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(values, [100 * share["share"] for share in shares], color=BLUE, marker="o", markersize=4, linewidth=1.8)
    axes.axhline(100 * chance, color=GREY, linewidth=0.9, linestyle=(0, (3, 3)), zorder=0)
    axes.set_ylim(0, 104)
    margin = 0.05 * (values[-1] - values[0]) or 0.5
    axes.set_xlim(values[0] - margin, values[-1] + margin)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set_title(f"{curve['name'].capitalize()}: accuracy, %", pad=8)
    axes.set_xlabel(curve["unit"], labelpad=2)


def _draw_tiles(
    figure: Figure, axes: Axes, curve: Curve, image: Tensor, seed: int, place: tuple[float, float, float]
) -> None:
    """The image transformed by a few of the axis's values, below each."""
    left, bottom, cell = place
    low, high = axes.get_xlim()
    count = min(len(curve["values"]), _TILES)
    chosen = [curve["values"][k] for k in np.linspace(0, len(curve["values"]) - 1, count).round().astype(int)]
    changed = torch.cat([change_images(curve["name"], image, value, seed) for value in chosen])
    tall = cell * image.shape[2] / image.shape[3]
    centres = [left + (value - low) / (high - low) * _WIDE for value in chosen]
    gap = min((right - left for left, right in pairwise(centres)), default=cell)
    width = min(cell, gap * 0.94)
    for tile, centre in zip(to_tiles(changed), centres, strict=True):
        small = axes_at(figure, centre - width / 2, bottom - 0.46 - tall * width / cell, width, tall * width / cell)
        show(small, tile, frame=True)


def _draw(subject: Subject) -> Figure:
    record = subject.record("robustness")
    image = view(subject.model, subject.images_of(record).select(torch.tensor([0])))
    shift = subject.run.config.augmentation.shift if subject.run.imported() is None else None
    return draw_robustness(cast(RobustnessCurves, record["results"]), image, seed=record["seed"], shift=shift)


add_figure(
    "robustness",
    _draw,
    caption="A falling curve: the network is less accurate on images that are changed more.",
    place=60,
)

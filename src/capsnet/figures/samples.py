"""Synthetic images decoded from a Gaussian over each class capsule's poses."""

from typing import cast

import numpy as np
import torch
from matplotlib.figure import Figure

from capsnet.analysis.samples import SampleResults, decode, sample_gaussian
from capsnet.figures.style import BLUE, DPI, GREY, axes_at, labels, new_figure, styled
from capsnet.figures.subject import Subject, add_figure
from capsnet.figures.tiles import montage, show, to_tiles
from capsnet.models import CapsuleModel

_COLUMNS, _MOST, _GAP = 10, 20, 2


@styled
def draw_samples(results: SampleResults, model: CapsuleModel, class_names: tuple[str, ...], *, seed: int) -> Figure:
    """Draw the mean pose of each class, and samples beside it.

    Args:
        results: the Gaussian of each class.
        model: with a decoder.
        class_names: of the model.
        seed: of the samples.

    Raises:
        UserError: the model has no decoder.
    """
    generator = torch.Generator().manual_seed(seed)
    classes = results["classes"][:_MOST]
    rows, shares = [], []
    for item in classes:
        mean, covariance = torch.tensor(item["mean"]), torch.tensor(item["covariance"])
        poses = torch.cat([mean[None].double(), sample_gaussian(mean, covariance, _COLUMNS, generator)])
        rows.append(to_tiles(decode(model, poses, item["label"], len(class_names))))
        shares.append(f"{100 * item['recognised']['share']:.0f} %")
    height, width = rows[0].shape[1:3]
    sheet = montage(np.concatenate([row[1:] for row in rows]), _COLUMNS, _GAP)
    column = montage(np.concatenate([row[:1] for row in rows]), 1, _GAP)
    # integer zoom: whole file pixels for each tile pixel
    zoom = max(1, round(0.5 * DPI / width))
    tall, wide = (side * zoom / DPI for side in sheet.shape[:2])
    subtitle = (
        "Decoded from poses sampled from a Gaussian, fitted for each class to the poses of correctly classified "
        "training images. Left: the mean pose. Right: the share of samples that the network assigns to the class."
    )
    if len(results["classes"]) > len(classes):
        subtitle += f" The first {len(classes)} of {len(results['classes'])} classes are shown."
    names = labels([class_names[item["label"]] for item in classes], 16)
    left = 0.45 + 0.085 * max(len(name) for name in names)
    first = width * zoom / DPI
    figure = new_figure(
        max(left + first + 0.25 + wide + 0.75, 6.0), tall + 0.55, "Samples from the class capsules", subtitle
    )
    means = axes_at(figure, left, 0.15, first, tall)
    show(means, column)
    means.set_title("mean", size=8.5, weight="normal", pad=5)
    places = [k * (height + _GAP) + height / 2 for k in range(len(rows))]
    means.set_yticks(places, names)
    means.tick_params(length=0)
    means.plot([0, 0, width, width, 0], [0, len(column), len(column), 0, 0], color=BLUE, linewidth=1.6, clip_on=False)
    axes = axes_at(figure, left + first + 0.25, 0.15, wide, tall)
    show(axes, sheet)
    axes.set_title("samples", size=8.5, weight="normal", pad=5)
    axes.yaxis.tick_right()
    axes.set_yticks(places, shares)
    axes.tick_params(length=0, labelcolor=GREY)
    return figure


def _draw(subject: Subject) -> Figure:
    record = subject.record("samples")
    results = cast(SampleResults, record["results"])
    return draw_samples(results, subject.model, subject.class_names, seed=record["seed"])


add_figure(
    "samples",
    _draw,
    caption="Synthetic images decoded from sampled poses. Blurred or broken ones may come from poses unlike those "
    "in training.",
    place=32,
)

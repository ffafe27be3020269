"""A data set: how many images of each class, and some of them."""

from pathlib import PurePath

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from capsnet.data import Dataset, ImageData
from capsnet.figures.style import BLUE, GREY, SKY, axes_at, labels, new_figure, plain, styled
from capsnet.figures.subject import Subject, add_figure
from capsnet.figures.tiles import montage, show, to_tiles

_MOST, _SAMPLES, _GAP = 40, 8, 2


@styled
def draw_data(dataset: Dataset) -> Figure:
    """Draw a row for each class: its name, its number of training and test images, and the first training images.

    Args:
        dataset: more than 40 classes are cut at 40.
    """
    train, test = dataset.train, dataset.test
    names = train.class_names
    classes = min(len(names), _MOST)
    channels, height, width = train.image_shape
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    subtitle = (
        f"{len(train):,} training and {len(test):,} test images, {kind}, {height}×{width} pixels, {len(names)} classes."
        " Bars: images of each class."
    )
    if len(names) > classes:
        subtitle += f" The first {classes} classes are shown."
    row = 0.46 if classes <= 20 else 0.32
    shown = labels(names[:classes], 22)
    left = 0.4 + 0.078 * max(len(name) for name in shown)
    body = row * classes + 0.65
    figure = new_figure(8.0, body, f"Data set {plain(PurePath(dataset.name).name, 50)}", subtitle)
    tile = to_tiles(train.images[:1]).shape[1:3]
    high = min(row - 0.04, 4.0 * tile[0] / (_SAMPLES * (tile[1] + _GAP)))
    strip = high * (_SAMPLES * (tile[1] + _GAP) - _GAP) / tile[0]
    room = 8.0 - left - strip - 0.45
    bars = axes_at(figure, left, 0.2, room, row * classes)
    _draw_counts(bars, train.counts()[:classes], test.counts()[:classes], shown)
    for index in range(classes):
        bottom = 0.2 + (classes - 0.5 - index) * row - high / 2
        _draw_samples(figure, train, index, (8.0 - 0.3 - strip, bottom, strip, high))
    return figure


def _draw_counts(axes: Axes, train: list[int], test: list[int], names: list[str]) -> None:
    places = np.arange(len(names)) + 0.5
    axes.barh(places, train, height=0.62, color=BLUE)
    axes.barh(places, test, left=train, height=0.62, color=SKY)
    most = max(a + b for a, b in zip(train, test, strict=True))
    for place, learn, check in zip(places, train, test, strict=True):
        axes.text(learn + check + most * 0.015, place, f"{learn:,} + {check:,}", size=8, va="center", gid="count")
    axes.set_xlim(0, most * 1.4)
    axes.set_ylim(len(names), 0)
    axes.set_yticks(places, names, size=9)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines["bottom"].set_visible(False)
    axes.legend(
        ["training", "test"], loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=2, frameon=False, fontsize=8.5
    )


def _draw_samples(figure: Figure, data: ImageData, label: int, box: tuple[float, float, float, float]) -> None:
    members = (data.labels == label).nonzero()[:_SAMPLES, 0]
    left, bottom, width, height = box
    if len(members) == 0:
        figure.text(left / 8.0, bottom / figure.get_size_inches()[1], "no training images", color=GREY)
        return
    tiles = to_tiles(data.images[members])
    blank = torch.full((_SAMPLES - len(tiles), *tiles.shape[1:]), 255, dtype=torch.uint8).numpy()
    axes = axes_at(figure, left, bottom, width, height)
    show(axes, montage(np.concatenate([tiles, blank]), _SAMPLES, _GAP))


def _draw(subject: Subject) -> Figure:
    return draw_data(subject.dataset)


add_figure(
    "data",
    _draw,
    caption="What there was to learn from: the first training images of each class, and how many there are.",
    place=70,
)

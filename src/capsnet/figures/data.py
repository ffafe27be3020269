"""A data set: number of images in each class, with examples."""

from pathlib import PurePath

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from capsnet.data import Dataset
from capsnet.data.examples import example_images
from capsnet.figures.facts import count_learned
from capsnet.figures.style import BLUE, GREY, SKY, axes_at, labels, new_figure, plain, styled
from capsnet.figures.subject import Subject, add_figure
from capsnet.figures.tiles import montage, show, to_tiles

_MOST, _SAMPLES, _GAP = 40, 8, 2


@styled
def draw_data(dataset: Dataset, learned: int | None = None) -> Figure:
    """Draw a row for each class: its name, its number of training and test images, and some images.

    Examples are the first training images. A pair belongs to the class of its base digit. If test images are
    transformed, training and test images alternate.

    Args:
        dataset: the first 40 classes are drawn.
        learned: number of images that a run trained on; None: no run.
    """
    train, test = dataset.train, dataset.test
    names = train.class_names
    classes = min(len(names), _MOST)
    subtitle = _subtitle(dataset)
    if learned is not None and learned < len(train):
        subtitle += f" This run was trained on {learned:,} of the training images."
    if len(names) > classes:
        subtitle += f" The first {classes} classes are shown."
    row = 0.46 if classes <= 20 else 0.32
    shown = labels(names[:classes], 22)
    left = 0.4 + 0.078 * max(len(name) for name in shown)
    body = row * classes + 0.65
    figure = new_figure(8.0, body, f"Data set {plain(PurePath(dataset.name).name, 50)}", subtitle)
    tile = to_tiles(example_images(dataset, int(train.labels[0]), 1)).shape[1:3]
    # wide images, such as stereo pairs, keep the height; fewer are shown
    samples = _SAMPLES if tile[1] < 1.5 * tile[0] else _SAMPLES // 2
    high = min(row - 0.04, 4.0 * tile[0] / (samples * (tile[1] + _GAP)))
    strip = high * (samples * (tile[1] + _GAP) - _GAP) / tile[0]
    room = 8.0 - left - strip - 0.45
    bars = axes_at(figure, left, 0.2, room, row * classes)
    _draw_counts(bars, train.counts()[:classes], test.counts()[:classes], shown)
    for index in range(classes):
        bottom = 0.2 + (classes - 0.5 - index) * row - high / 2
        _draw_samples(figure, dataset, index, samples, (8.0 - 0.3 - strip, bottom, strip, high))
    return figure


def _subtitle(dataset: Dataset) -> str:
    channels, height, width = dataset.input_shape
    kind = {1: "grey", 2: "stereo", 3: "colour"}.get(channels, f"{channels}-channel")
    noun = "images" if dataset.pairing is None else "single digits, combined into pairs"
    counts = f"{len(dataset.train):,} training and {len(dataset.test):,} test {noun}"
    text = f"{counts}, {kind}, {height}×{width} pixels, {len(dataset.train.class_names)} classes."
    text += f" Bars: {'images' if dataset.pairing is None else 'digits'} of each class."
    if dataset.transformed_test:
        text += " Pictures: training and test images alternate."
    return text


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


def _draw_samples(
    figure: Figure, dataset: Dataset, label: int, count: int, box: tuple[float, float, float, float]
) -> None:
    images = example_images(dataset, label, count)
    left, bottom, width, height = box
    if len(images) == 0:
        figure.text(left / 8.0, bottom / figure.get_size_inches()[1], "no training images", color=GREY)
        return
    tiles = to_tiles(images)
    blank = np.full((count - len(tiles), *tiles.shape[1:]), 255, np.uint8)
    axes = axes_at(figure, left, bottom, width, height)
    show(axes, montage(np.concatenate([tiles, blank]), count, _GAP))


def _draw(subject: Subject) -> Figure:
    return draw_data(subject.dataset, count_learned(subject.run))


def _caption(subject: Subject) -> str:
    learned = count_learned(subject.run)
    trained = "" if learned is None else f"; this run was trained on {learned:,} of them"
    return f"The first training images and the number of images of each class{trained}."


add_figure(
    "data",
    _draw,
    caption=_caption,
    place=70,
)

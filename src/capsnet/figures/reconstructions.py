"""Test images with their reconstructions. Sabour et al., NeurIPS 2017, Fig. 3."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from capsnet.figures.style import INK, ORANGE, axes_at, class_label, new_figure, styled
from capsnet.figures.subject import (
    FIGURES,
    Drawing,
    FigureKind,
    Sample,
    Subject,
    first_of_each_class,
    measure_fidelity,
    reconstruct,
)
from capsnet.figures.tiles import montage, show, to_tiles
from capsnet.models import CapsuleModel

_SHOWN, _MOST, _MISTAKES = 20, 60, 10
_WIDTH, _GAP = 8.0, 2


@styled
def draw_reconstructions(model: CapsuleModel, sample: Sample) -> Figure:
    """Draw test images above reconstructions from their longest capsules, and then misclassified ones.

    Args:
        model: with a decoder.
        sample: test images with the model's outputs.

    Raises:
        UserError: the model has no decoder.
    """
    names = sample.data.class_names
    count = min(max(_SHOWN, len(names)), _MOST)
    shown = sample.pick(first_of_each_class(sample.data.labels, len(names), count)[:_MOST])
    mistakes = (~sample.correct).nonzero()[:, 0]
    if len(mistakes) > _MISTAKES:
        # images are ordered by class: spread the choice over all classes
        mistakes = mistakes[torch.linspace(0, len(mistakes) - 1, _MISTAKES).round().long()]
    blocks = [("", _by_rows(shown, len(names)))]
    if len(mistakes):
        blocks.append(("Errors: true class → prediction, reconstructed from the latter", sample.pick(mistakes)))
    columns = min(10, len(shown.data))
    incorrect, total = int((~sample.correct).sum()), len(sample.data)
    subtitle = (
        "Top: test images. Bottom: reconstructions from the pose of the longest class capsule alone. "
        f"{incorrect:,} of these {total:,} test images are misclassified. "
        f"{measure_fidelity(model, sample).words}"
    )
    return _draw_blocks(model, blocks, columns, subtitle)


def _draw_blocks(model: CapsuleModel, blocks: Sequence[tuple[str, Sample]], columns: int, subtitle: str) -> Figure:
    height, width = to_tiles(blocks[0][1].data.images[:1]).shape[1:3]
    cell = min((_WIDTH - 0.6) / columns, 1.1)
    pair = 2 * cell * height / width + 0.36
    rows = [-(-len(part.data) // columns) for _, part in blocks]
    figure = new_figure(_WIDTH, sum(rows) * pair + 0.4 * (len(blocks) - 1) + 0.1, "Reconstructions", subtitle)
    top = sum(rows) * pair + 0.4 * (len(blocks) - 1) + 0.05
    for (title, part), count in zip(blocks, rows, strict=True):
        if title:
            figure.text(0.3 / _WIDTH, (top - 0.12) / figure.get_size_inches()[1], title, weight="bold", va="top")
            top -= 0.4
        drawn = reconstruct(model, part.capsules)
        for row in range(count):
            places = slice(row * columns, (row + 1) * columns)
            indices = torch.arange(len(part.data))[places]
            wide = cell * len(indices)
            axes = axes_at(figure, 0.3, top - pair + 0.36, wide, pair - 0.36)
            _draw_pairs(axes, part.pick(indices), drawn[indices])
            top -= pair
    return figure


def _draw_pairs(axes: Axes, part: Sample, drawn: Tensor) -> None:
    originals, redrawn = to_tiles(part.data.images), to_tiles(drawn)
    count, height, width, _ = originals.shape
    sheet = montage(torch.cat([torch.from_numpy(originals), torch.from_numpy(redrawn)]).numpy(), count, _GAP)
    show(axes, sheet)
    names, letters = part.data.class_names, max(5, 110 // max(count, 6))
    for column, (true, predicted) in enumerate(zip(part.data.labels.tolist(), part.predicted.tolist(), strict=True)):
        left, right = column * (width + _GAP), 2 * height + _GAP
        if true == predicted:
            label, color = class_label(names, true, letters), INK
        else:
            label, color = _mistake(names, true, predicted, letters), ORANGE
            outline = Rectangle((left, 0), width, right, fill=False, edgecolor=ORANGE, linewidth=1.8, clip_on=False)
            axes.add_patch(outline)
        weight = "normal" if true == predicted else "bold"
        axes.annotate(
            label,
            (left + width / 2, right),
            (0, -3),
            textcoords="offset points",
            size=8.5 if len(label) < 9 else 7.2,
            color=color,
            weight=weight,
            ha="center",
            va="top",
            linespacing=1.0,
            annotation_clip=False,
        )


def _mistake(names: Sequence[str], true: int, predicted: int, letters: int) -> str:
    line = f"{class_label(names, true, letters)} → {class_label(names, predicted, letters)}"
    if len(line) <= letters:
        return line
    return f"{class_label(names, true, letters)}\n→ {class_label(names, predicted, letters - 2)}"


def _by_rows(sample: Sample, classes: int) -> Sample:
    """Up to ten classes with two images each: order them so that each row shows every class once."""
    counts = sample.data.counts()
    if classes > 10 or len(set(counts)) > 1:
        return sample
    order = torch.arange(len(sample.data)).view(classes, -1).T.flatten()
    return sample.pick(order)


def _draw(subject: Subject) -> Figure:
    return draw_reconstructions(subject.model, subject.sample)


def _drawings(subject: Subject) -> Mapping[str, Drawing]:
    # for pairs of digits, the figure `pairs` shows both reconstructions
    if subject.run.weights_path.is_file() and subject.model.pairing is not None:
        return {}
    return {"reconstructions": partial(_draw, subject)}


def _caption(subject: Subject) -> str:
    fidelity = subject.fidelity
    if fidelity is None or fidelity.ratio >= 0.9:
        better = "hardly" if fidelity is not None and fidelity.ratio < 1 else "no"
        quality = f"Reconstructions from the pose alone, so far {better} better than the mean image."
    elif fidelity.ratio > 0.5:
        quality = f"Rough reconstructions: their error is {100 * fidelity.ratio:.0f} % of the mean image's."
    else:
        quality = "The pose of a class capsule alone suffices to reconstruct the image, with "
        quality += f"{100 * fidelity.ratio:.0f} % of the mean image's error."
    return f"{quality} An orange frame marks an error, reconstructed from the capsule of the predicted class."


FIGURES.add(
    "reconstructions",
    FigureKind(
        _drawings,
        _caption,
        20,
    ),
)

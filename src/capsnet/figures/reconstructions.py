"""Test images above what the decoder draws of them. Sabour et al., NeurIPS 2017, Fig. 3."""

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
    Seen,
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
def draw_reconstructions(model: CapsuleModel, seen: Seen) -> Figure:
    """Draw originals above the reconstructions from their longest capsules, and then the mistakes among all seen.

    Args:
        model: with a decoder.
        seen: test images with the model's outputs.

    Raises:
        UserError: the model has no decoder.
    """
    names = seen.data.class_names
    count = min(max(_SHOWN, len(names)), _MOST)
    sample = seen.pick(first_of_each_class(seen.data.labels, len(names), count)[:_MOST])
    mistakes = (~seen.correct).nonzero()[:, 0]
    if len(mistakes) > _MISTAKES:
        # images are in the order of their classes: from all of them
        mistakes = mistakes[torch.linspace(0, len(mistakes) - 1, _MISTAKES).round().long()]
    blocks = [("", _by_rows(sample, len(names)))]
    if len(mistakes):
        blocks.append(("Mistakes: true class → prediction, drawn from the predicted capsule", seen.pick(mistakes)))
    columns = min(10, len(sample.data))
    wrong, total = int((~seen.correct).sum()), len(seen.data)
    subtitle = (
        "Above: test images. Below: what the decoder draws from the pose of the longest class capsule alone. "
        f"{wrong:,} of the {total:,} test images looked at here are classified incorrectly. "
        f"{measure_fidelity(model, seen).words}"
    )
    return _draw_blocks(model, blocks, columns, subtitle)


def _draw_blocks(model: CapsuleModel, blocks: Sequence[tuple[str, Seen]], columns: int, subtitle: str) -> Figure:
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


def _draw_pairs(axes: Axes, part: Seen, drawn: Tensor) -> None:
    originals, redrawn = to_tiles(part.data.images), to_tiles(drawn)
    count, height, width, _ = originals.shape
    sheet = montage(torch.cat([torch.from_numpy(originals), torch.from_numpy(redrawn)]).numpy(), count, _GAP)
    show(axes, sheet)
    names, letters = part.data.class_names, max(5, 110 // max(count, 6))
    for column, (true, said) in enumerate(zip(part.data.labels.tolist(), part.predicted.tolist(), strict=True)):
        left, right = column * (width + _GAP), 2 * height + _GAP
        if true == said:
            label, color = class_label(names, true, letters), INK
        else:
            label, color = _mistake(names, true, said, letters), ORANGE
            outline = Rectangle((left, 0), width, right, fill=False, edgecolor=ORANGE, linewidth=1.8, clip_on=False)
            axes.add_patch(outline)
        weight = "normal" if true == said else "bold"
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


def _mistake(names: Sequence[str], true: int, said: int, letters: int) -> str:
    line = f"{class_label(names, true, letters)} → {class_label(names, said, letters)}"
    if len(line) <= letters:
        return line
    return f"{class_label(names, true, letters)}\n→ {class_label(names, said, letters - 2)}"


def _by_rows(sample: Seen, classes: int) -> Seen:
    """Two images of each of at most ten classes: one row of each class once, then the other."""
    counts = sample.data.counts()
    if classes > 10 or len(set(counts)) > 1:
        return sample
    order = torch.arange(len(sample.data)).view(classes, -1).T.flatten()
    return sample.pick(order)


def _draw(subject: Subject) -> Figure:
    return draw_reconstructions(subject.model, subject.seen)


def _drawings(subject: Subject) -> Mapping[str, Drawing]:
    # of pairs, the figure of that name shows both reconstructions
    if subject.run.weights_path.is_file() and subject.model.pairing is not None:
        return {}
    return {"reconstructions": partial(_draw, subject)}


def _caption(subject: Subject) -> str:
    fidelity = subject.fidelity
    if fidelity is None or fidelity.ratio > 0.9:
        known = "What the decoder draws from a pose alone: so far no better than the mean image."
    elif fidelity.ratio > 0.5:
        known = (
            f"The pose of the longest capsule draws the image roughly: its error is {100 * fidelity.ratio:.0f} % of "
        )
        known += "the mean image's."
    else:
        known = "What a class capsule knows: its pose alone is enough to draw the image again, with "
        known += f"{100 * fidelity.ratio:.0f} % of the mean image's error."
    return f"{known} An orange frame marks an incorrect prediction, which is drawn as what it was taken for."


FIGURES.add(
    "reconstructions",
    FigureKind(
        _drawings,
        _caption,
        20,
    ),
)

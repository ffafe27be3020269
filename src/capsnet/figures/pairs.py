"""Pairs of overlapping digits, with the network's reconstructions of both.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Fig. 5.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from capsnet.data import ImageData
from capsnet.data.pairs import Pairing, Pairs, fixed_pairs
from capsnet.errors import UserError
from capsnet.figures.style import INK, ORANGE, axes_at, class_label, new_figure, styled
from capsnet.figures.subject import FIGURES, Drawing, FigureKind, Subject, reconstruct
from capsnet.figures.tiles import montage, show, to_tiles
from capsnet.inference.evaluate import match_classes
from capsnet.inference.pair_metrics import exact_pairs, find_pairs, match_found
from capsnet.models import CapsuleModel

_COLUMNS, _GAP, _WIDTH, _LEFT = 8, 2, 8.0, 1.25


class _Row(NamedTuple):
    """Pairs with predicted classes and reconstructions."""

    pairs: Pairs
    predicted: Tensor
    drawn: Tensor


def in_two_colors(first: Float[Tensor, "b 1 h w"], second: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Show one image in magenta and the other in green; where both are bright it is white.

    Shapes:
        first and second `b 1 h w`, in [0, 1]; result `b 3 h w`.
    """
    return torch.cat([first, second, first], dim=1)


@styled
@torch.no_grad()
def draw_pair_reconstructions(model: CapsuleModel, data: ImageData, pairing: Pairing) -> Figure:
    """Draw test pairs: the input, its two digits in two colours, and the two reconstructions.

    The first correctly classified pairs of the test set are shown, and the first misclassified ones.

    Args:
        model: with a decoder.
        data: single test digits.
        pairing: makes pairs of them.

    Raises:
        UserError: the model has no decoder, or the images are not grey.
    """
    if data.images.shape[1] != 1:
        raise UserError("two colours show pairs of grey images only")
    pairs = next(fixed_pairs(data.images, data.labels, pairing, batch_size=512))
    output = model(model.inputs(pairs.images.to(model.device)))
    pair_predictions = find_pairs(output.lengths.cpu())
    correct = exact_pairs(pair_predictions, pairs.labels)
    predicted = match_found(pair_predictions, pairs.labels)
    blocks = []
    for title, chosen in (("both digits correct", correct), ("errors", ~correct)):
        places = chosen.nonzero()[:_COLUMNS, 0]
        if len(places):
            some = Pairs(pairs.images[places], pairs.labels[places], pairs.singles[places])
            poses, lengths = output.capsules[:2]
            at = places.to(poses.device)
            capsules = type(output.capsules)(poses[at], lengths[at])
            drawn = torch.stack([reconstruct(model, capsules, predicted[places, k]) for k in range(2)], dim=1)
            blocks.append((title, _Row(some, predicted[places], drawn)))
    share = 100 * float(correct.float().mean())
    subtitle = (
        f"Both digits are classified correctly in {share:.1f} % of these {len(pairs)} test pairs. Magenta and green: "
        "one digit each; white: both. Bottom: each digit named is reconstructed from its capsule alone."
    )
    return _draw_blocks(blocks, data.class_names, subtitle)


def _draw_blocks(blocks: Sequence[tuple[str, _Row]], names: Sequence[str], subtitle: str) -> Figure:
    cell = (_WIDTH - _LEFT - 0.3) / _COLUMNS
    tall = 3 * cell + 0.62
    figure = new_figure(_WIDTH, tall * len(blocks) + 0.1, "Reconstructions of overlapping digits", subtitle)
    total = figure.get_size_inches()[1]
    for number, (title, row) in enumerate(blocks):
        bottom = (len(blocks) - 1 - number) * tall + 0.4
        axes = axes_at(figure, _LEFT, bottom, cell * len(row.predicted), 3 * cell)
        sheet, side = _sheet(row)
        show(axes, sheet)
        _name(axes, row, names, side)
        figure.text(_LEFT / _WIDTH, (bottom + 3 * cell + 0.06) / total, title, size=9, weight="bold", color=INK)
        for place, text in enumerate(("input", "true digits", "decoded")):
            height = bottom + (2.5 - place) * cell
            figure.text(0.3 / _WIDTH, height / total, text, size=8.5, va="center", color=INK)
    return figure


def _sheet(row: _Row) -> tuple[UInt8[np.ndarray, "y x 3"], int]:
    singles = row.pairs.singles.float() / 255
    rows = (
        row.pairs.images.float() / 255,
        in_two_colors(singles[:, 0], singles[:, 1]),
        in_two_colors(row.drawn[:, 0], row.drawn[:, 1]),
    )
    tiles = np.concatenate([to_tiles(images) for images in rows])
    return montage(tiles, len(row.predicted), _GAP), tiles.shape[2]


def _name(axes: Axes, row: _Row, names: Sequence[str], side: int) -> None:
    """Write the true classes below each pair, and the predicted ones if different."""
    depth = 3 * (side + _GAP)
    for column, (true, predicted) in enumerate(zip(row.pairs.labels.tolist(), row.predicted.tolist(), strict=True)):
        text = " + ".join(class_label(names, int(label), 8) for label in true)
        if true != predicted:
            text += "\n→ " + " + ".join(class_label(names, int(label), 8) for label in predicted)
        axes.annotate(
            text,
            (column * (side + _GAP) + side / 2, depth),
            (0, -2),
            textcoords="offset points",
            size=8.5,
            color=INK if true == predicted else ORANGE,
            ha="center",
            va="top",
            annotation_clip=False,
        )


def _draw(subject: Subject) -> Figure:
    dataset = subject.dataset
    if dataset.pairing is None:
        raise UserError(f"{dataset.name} has single images, but the network was trained on pairs")
    data = match_classes(dataset.test, subject.model, dataset.name, dataset.pairing)
    return draw_pair_reconstructions(subject.model, data, dataset.pairing)


def _drawings(subject: Subject) -> Mapping[str, Drawing]:
    # not applicable to single images
    if not subject.run.weights_path.is_file() or subject.model.pairing is None:
        return {}
    return {"pairs": partial(_draw, subject)}


FIGURES.add(
    "pairs",
    FigureKind(
        _drawings,
        "Each of the two longest capsules should encode one of the overlapping digits and reconstruct it without the "
        "other.",
        25,
    ),
)

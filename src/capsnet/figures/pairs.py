"""Pairs of overlapping digits, and the two digits that a network draws of each.

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
    """Pairs with what a network says of them and draws, in the order of its digits."""

    pairs: Pairs
    found: Tensor
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
    """Draw test pairs: the input, its two digits in two colours, and the two digits that the network draws.

    The first pairs of the test set that are found are shown, and the first that are not.

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
    output = model(pairs.images.to(model.device).float() / 255)
    found = find_pairs(output.lengths.cpu())
    right = exact_pairs(found, pairs.labels)
    said = match_found(found, pairs.labels)
    blocks = []
    for title, chosen in (("both digits found", right), ("not both found", ~right)):
        places = chosen.nonzero()[:_COLUMNS, 0]
        if len(places):
            some = Pairs(pairs.images[places], pairs.labels[places], pairs.singles[places])
            poses, lengths, _ = output.capsules
            at = places.to(poses.device)
            capsules = type(output.capsules)(poses[at], lengths[at])
            drawn = torch.stack([reconstruct(model, capsules, said[places, k]) for k in range(2)], dim=1)
            blocks.append((title, _Row(some, said[places], drawn)))
    share = 100 * float(right.float().mean())
    subtitle = (
        f"Test pairs of which both digits were found ({share:.1f} % of the {len(pairs)} looked at here), and of which "
        "not. Magenta and green: one digit each, white: both. Below, the decoder draws each of the two digits named "
        "from its capsule alone."
    )
    return _draw_blocks(blocks, data.class_names, subtitle)


def _draw_blocks(blocks: Sequence[tuple[str, _Row]], names: Sequence[str], subtitle: str) -> Figure:
    cell = (_WIDTH - _LEFT - 0.3) / _COLUMNS
    tall = 3 * cell + 0.62
    figure = new_figure(_WIDTH, tall * len(blocks) + 0.1, "Two digits drawn apart", subtitle)
    total = figure.get_size_inches()[1]
    for number, (title, row) in enumerate(blocks):
        bottom = (len(blocks) - 1 - number) * tall + 0.4
        axes = axes_at(figure, _LEFT, bottom, cell * len(row.found), 3 * cell)
        sheet, side = _sheet(row)
        show(axes, sheet)
        _name(axes, row, names, side)
        figure.text(_LEFT / _WIDTH, (bottom + 3 * cell + 0.06) / total, title, size=9, weight="bold", color=INK)
        for place, text in enumerate(("input", "its digits", "drawn by the\nnetwork")):
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
    return montage(tiles, len(row.found), _GAP), tiles.shape[2]


def _name(axes: Axes, row: _Row, names: Sequence[str], side: int) -> None:
    """Write below each pair its classes, and what they were taken for."""
    depth = 3 * (side + _GAP)
    for column, (true, said) in enumerate(zip(row.pairs.labels.tolist(), row.found.tolist(), strict=True)):
        text = " + ".join(class_label(names, int(label), 8) for label in true)
        if true != said:
            text += "\n→ " + " + ".join(class_label(names, int(label), 8) for label in said)
        axes.annotate(
            text,
            (column * (side + _GAP) + side / 2, depth),
            (0, -2),
            textcoords="offset points",
            size=8.5,
            color=INK if true == said else ORANGE,
            ha="center",
            va="top",
            annotation_clip=False,
        )


def _draw(subject: Subject) -> Figure:
    dataset = subject.dataset
    if dataset.pairing is None:
        raise UserError(f"{dataset.name} is single images, the network was trained on pairs")
    data = match_classes(dataset.test, subject.model, dataset.name, dataset.pairing)
    return draw_pair_reconstructions(subject.model, data, dataset.pairing)


def _drawings(subject: Subject) -> Mapping[str, Drawing]:
    # of a run on single images there is nothing to say
    if not subject.run.weights_path.is_file() or subject.model.pairing is None:
        return {}
    return {"pairs": partial(_draw, subject)}


FIGURES.add(
    "pairs",
    FigureKind(
        _drawings,
        "Routing tells two overlapping digits apart: each of the two longest capsules knows its own digit, and draws "
        "it without the other.",
        25,
    ),
)

"""Each dimension of a class capsule's pose moved, and drawn. Sabour et al., NeurIPS 2017, section 5.1 and Fig. 4."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.figures.style import BLUE, DPI, GREY, PALE, axes_at, class_label, new_figure, styled
from capsnet.figures.subject import FIGURES, Drawing, FigureKind, Seen, Subject, reconstruct, slug
from capsnet.figures.tiles import montage, show, to_tiles
from capsnet.models import CapsuleModel

OFFSETS = torch.arange(-5, 6) * 0.05
_GAP, _SHEET = 2, 4.4
# changes in % of white: ends of the scale, and below what the decoder is said to ignore a pose
_ENDS, _UNUSED = (25, 50, 100), 1.0


def manipulate(model: CapsuleModel, pose: Float[Tensor, " d"], label: int, classes: int) -> Float[Tensor, "d o c h w"]:
    """Reconstruct a class capsule with each dimension `d` of its pose moved by each of the 11 offsets `o`."""
    moved = pose + OFFSETS[None, :, None] * torch.eye(len(pose))[:, None, :]  # d o d
    moved[:, len(OFFSETS) // 2] = pose
    count = len(pose) * len(OFFSETS)
    poses = torch.zeros(count, classes, len(pose))
    poses[:, label] = moved.flatten(0, 1)
    labels = torch.full((count,), label)
    images = reconstruct(model, Capsules(poses, poses.norm(dim=-1)), labels)
    return images.reshape(len(pose), len(OFFSETS), *images.shape[1:])


@styled
def draw_manipulation(model: CapsuleModel, seen: Seen, label: int) -> Figure:
    """Draw one row for each dimension of the capsule of class `label`, one column for each offset.

    The image is the first of the class that is classified correctly.

    Raises:
        UserError: the model has no decoder, or there is no image of the class.
    """
    names = seen.data.class_names
    members = (seen.data.labels == label).nonzero()[:, 0]
    if len(members) == 0:
        raise UserError(f"no test image of class {names[label]!r}")
    right = members[seen.correct[members]]
    index = right[:1] if len(right) else members[:1]
    start = seen.pick(index)
    pose = start.capsules.poses[0, label]
    images = manipulate(model, pose, label, len(names))
    name = class_label(names, label, 30)
    subtitle = (
        f"Left: a test image and its reconstruction. Each row moves one of the {len(pose)} numbers of the pose of "
        f"capsule “{name}” and draws the result; the outlined column is the pose as it is. "
        "Bars: mean difference of a pixel between the two ends of a row, in % of white."
    )
    if len(right) == 0:
        subtitle += " No image of this class was classified correctly; this one was not."
    title = f"The {len(pose)} dimensions of capsule “{name}”"
    if float(find_changes(images).max()) < _UNUSED:
        title += ": the decoder hardly uses them"
    return _draw_sheet(start, images, pose, title, subtitle)


def _draw_sheet(start: Seen, images: Tensor, pose: Tensor, title: str, subtitle: str) -> Figure:
    offsets = images.shape[1]
    tiles = to_tiles(images.flatten(0, 1))
    sheet = montage(tiles, offsets, _GAP)
    # a whole number of pixels of the file for each pixel of a tile
    zoom = max(1, round(_SHEET * DPI / sheet.shape[1]))
    height, width = (side * zoom / DPI for side in sheet.shape[:2])
    left, right = 2.55, 1.0
    figure = new_figure(max(left + width + right, 6.0), max(height + 0.55, 3.2), title, subtitle)
    bottom = 0.15 + max(0, 3.2 - height - 0.55)
    axes = axes_at(figure, left, bottom, width, height)
    show(axes, sheet)
    _label(axes, tiles.shape[1:3], pose.tolist(), size=min(8.0, 8 * width / 4.1))
    _draw_change(axes_at(figure, left + width + 0.1, bottom, right - 0.4, height), find_changes(images))
    tile = tiles.shape[1:3]
    side = 1.15
    tall = side * tile[0] / tile[1]
    middle = reconstructed_at_zero(images)
    for text, picture, up in (("test image", start.data.images, 0.0), ("reconstruction", middle, tall + 0.42)):
        small = axes_at(figure, 0.3, bottom + height - tall - up, side, tall)
        show(small, to_tiles(picture)[0], frame=True)
        small.set_xlabel(text, size=8.5, labelpad=4)
    return figure


def reconstructed_at_zero(images: Float[Tensor, "d o c h w"]) -> Float[Tensor, "1 c h w"]:
    """The picture of the pose as it is."""
    return images[:1, images.shape[1] // 2]


def _label(axes: Axes, tile: Sequence[int], pose: Sequence[float], *, size: float) -> None:
    height, width = tile
    columns = [k * (width + _GAP) + width / 2 for k in range(len(OFFSETS))]
    rows = [k * (height + _GAP) + height / 2 for k in range(len(pose))]
    texts = [f"{value:+.2f}".replace("+0.00", "0") for value in OFFSETS.tolist()]
    axes.set_xticks(columns, [text.replace("-", "−") for text in texts], size=size)
    values = [f"dim {k + 1}  ({value:+.2f})".replace("-", "−") for k, value in enumerate(pose)]
    axes.set_yticks(rows, values, size=8)
    axes.tick_params(length=0, labeltop=True, labelbottom=False, pad=4)
    place = len(OFFSETS) // 2 * (width + _GAP) - _GAP / 2
    total = len(pose) * (height + _GAP) - _GAP
    axes.plot(
        [place, place, place + width + _GAP, place + width + _GAP, place],
        [0, total, total, 0, 0],
        color=BLUE,
        linewidth=1.6,
        clip_on=False,
    )


def find_changes(images: Float[Tensor, "d o c h w"]) -> Float[Tensor, " d"]:
    """How much each dimension changes the picture: the mean difference of a pixel at its two ends, in % of white."""
    changes: Tensor = 100 * (images[:, -1] - images[:, 0]).abs().flatten(1).mean(dim=1)
    return changes


def _draw_change(axes: Axes, changes: Float[Tensor, " d"]) -> None:
    """Bars on a scale that figures of different classes and networks share, so that small changes are seen as small."""
    end = next((end for end in _ENDS if float(changes.max()) <= end), 100)
    axes.barh(np.arange(len(changes)) + 0.5, changes.numpy(), height=0.5, color=GREY)
    axes.set_xlim(0, end)
    axes.set_ylim(len(changes), 0)
    axes.set_yticks([])
    axes.set_xticks([0, end], ["0", f"{end} %"], size=8)
    axes.tick_params(length=0, labeltop=True, labelbottom=False, pad=4)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.axvline(end, color=PALE, linewidth=0.8)


def _slugs(names: Sequence[str]) -> list[str]:
    """A file name for each class, no two the same."""
    slugs: list[str] = []
    for label, name in enumerate(names):
        short = slug(name)
        taken = {other.lower() for other in slugs}
        slugs.append(short if short and short.lower() not in taken else f"{short}-{label}".lstrip("-"))
    return slugs


def _drawings(subject: Subject) -> Mapping[str, Drawing]:
    # without a decoder or data, one notice will do for all classes
    if not subject.model.has_decoder:
        raise UserError("the model has no decoder")
    subject.find_dataset()
    slugs = _slugs(subject.class_names)
    return {f"manipulate-{slug}": partial(_draw, subject, label) for label, slug in enumerate(slugs)}


def _draw(subject: Subject, label: int) -> Figure:
    return draw_manipulation(subject.model, subject.seen, label)


def _caption(subject: Subject) -> str:
    text = (
        "What each dimension of a class capsule draws when it is moved. Nobody assigns a meaning to them; the network "
        "learns them because they help to draw. Of digits they often are width, slant, or thickness of a stroke."
    )
    fidelity = subject.fidelity
    if fidelity is not None and fidelity.ratio > 0.9:
        text += " This decoder draws no better than the mean image, so its rows say little."
    return text


FIGURES.add(
    "manipulate",
    FigureKind(
        _drawings,
        _caption,
        30,
    ),
)

"""Reconstructions while each pose dimension is perturbed. Sabour et al., NeurIPS 2017, section 5.1 and Fig. 4."""

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
from capsnet.figures.subject import FIGURES, Drawing, FigureKind, Sample, Subject, reconstruct, slug
from capsnet.figures.tiles import montage, show, to_tiles
from capsnet.models import CapsuleModel

OFFSETS = torch.arange(-5, 6) * 0.05
_GAP, _SHEET = 2, 4.4
# changes in % of white: ends of the scale, and the threshold below which the decoder hardly uses the pose
_ENDS, _UNUSED = (25, 50, 100), 1.0


def manipulate(model: CapsuleModel, pose: Float[Tensor, " d"], label: int, classes: int) -> Float[Tensor, "d o c h w"]:
    """Reconstruct a class capsule with each pose dimension `d` shifted by each of the 11 offsets `o`."""
    moved = pose + OFFSETS[None, :, None] * torch.eye(len(pose))[:, None, :]  # d o d
    moved[:, len(OFFSETS) // 2] = pose
    count = len(pose) * len(OFFSETS)
    poses = torch.zeros(count, classes, len(pose))
    poses[:, label] = moved.flatten(0, 1)
    labels = torch.full((count,), label)
    images = reconstruct(model, Capsules(poses, poses.norm(dim=-1)), labels)
    return images.reshape(len(pose), len(OFFSETS), *images.shape[1:])


@styled
def draw_manipulation(model: CapsuleModel, sample: Sample, label: int) -> Figure:
    """Draw one row for each dimension of the capsule of class `label`, one column for each offset.

    The image is the first correctly classified one of the class.

    Raises:
        UserError: the model has no decoder, or there is no image of the class.
    """
    names = sample.data.class_names
    members = (sample.data.labels == label).nonzero()[:, 0]
    if len(members) == 0:
        raise UserError(f"no test image of class {names[label]!r}")
    correct = members[sample.correct[members]]
    index = correct[:1] if len(correct) else members[:1]
    start = sample.pick(index)
    pose = start.capsules.poses[0, label]
    images = manipulate(model, pose, label, len(names))
    name = class_label(names, label, 30)
    subtitle = (
        f"Left: a test image and its reconstruction. Each row shifts one of the {len(pose)} pose dimensions of "
        f"capsule “{name}” and decodes the result; the outlined column is the original pose. "
        "Bars: mean pixel difference between the two ends of a row, in % of white."
    )
    if len(correct) == 0:
        subtitle += " No image of this class is classified correctly; this one is misclassified."
    title = f"The {len(pose)} dimensions of capsule “{name}”"
    if float(find_changes(images).max()) < _UNUSED:
        title += ": the decoder hardly uses them"
    return _draw_sheet(start, images, pose, title, subtitle)


def _draw_sheet(start: Sample, images: Tensor, pose: Tensor, title: str, subtitle: str) -> Figure:
    offsets = images.shape[1]
    tiles = to_tiles(images.flatten(0, 1))
    sheet = montage(tiles, offsets, _GAP)
    # integer zoom: whole file pixels for each tile pixel
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
    """The reconstruction of the original pose."""
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
    """Effect of each dimension: mean pixel difference between the two ends of its row, in % of white."""
    changes: Tensor = 100 * (images[:, -1] - images[:, 0]).abs().flatten(1).mean(dim=1)
    return changes


def _draw_change(axes: Axes, changes: Float[Tensor, " d"]) -> None:
    """Bars on a few fixed scales, so that figures of different classes and networks are comparable."""
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
    # raise here, so that a missing decoder or data set is reported once, not for each class
    if not subject.model.has_decoder:
        raise UserError("the model has no decoder")
    subject.find_dataset()
    slugs = _slugs(subject.class_names)
    return {f"manipulate-{slug}": partial(_draw, subject, label) for label, slug in enumerate(slugs)}


def _draw(subject: Subject, label: int) -> Figure:
    return draw_manipulation(subject.model, subject.sample, label)


def _caption(subject: Subject) -> str:
    text = (
        "Reconstructions while each dimension of a class capsule is perturbed. The dimensions have no preset meaning; "
        "the network learns them for reconstruction. For digits they often encode width, slant or stroke thickness."
    )
    fidelity = subject.fidelity
    if fidelity is not None and fidelity.ratio >= 0.9:
        better = "hardly" if fidelity.ratio < 1 else "no"
        text += f" This decoder is {better} better than the mean image, so its rows carry little information."
    return text


FIGURES.add(
    "manipulate",
    FigureKind(
        _drawings,
        _caption,
        30,
    ),
)

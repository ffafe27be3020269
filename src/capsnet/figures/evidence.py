"""Where the image feeds the longest class capsule: the gradient of its length with respect to the last feature maps.

Draelos, Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks", 2020,
section 3.3; after Selvaraju et al., "Grad-CAM", ICCV 2017, which averages the gradient over positions. Here it is not
averaged: a class capsule has a transformation matrix of its own for each position.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeGuard

import torch
from jaxtyping import Float, Int
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import interpolate

from capsnet.analysis.watch import frozen
from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.figures.style import axes_at, class_label, new_figure, styled
from capsnet.figures.subject import Sample, Subject, add_figure, different_classes
from capsnet.figures.tiles import show, to_tiles
from capsnet.models import CapsuleModel

# from transparent to opaque
_EVIDENCE = LinearSegmentedColormap.from_list(
    "evidence", [(1.0, 1.0, 1.0, 0.0), (0.9, 0.45, 0.0, 0.55), (0.6, 0.0, 0.1, 0.9)]
)
_SHARES = Normalize(0.0, 1.0)
_SMOOTH = 96


def find_evidence(
    model: CapsuleModel, inputs: Float[Tensor, "b c h w"], labels: Int[Tensor, " b"] | None = None
) -> tuple[Float[Tensor, "b y x"], Int[Tensor, " b"]]:
    """What each position of the last feature maps adds to the length of a class capsule, to first order.

    The sum over channels of the feature maps times the gradient of the length; negative values are set to zero. The
    last feature maps are those that primary capsules are made of, in other networks the output of the last convolution.

    Args:
        model: with convolutions.
        inputs: as `model.inputs` makes them.
        labels: the class capsule of each image; None: the longest.

    Returns:
        The evidence, and the labels.

    Raises:
        UserError: the model has no feature maps of several positions.
    """
    with frozen(model), torch.enable_grad():
        given = model.features(inputs)
        features = given.detach().requires_grad_()
        with _last_maps(model, features if given is inputs else None) as maps:
            lengths = model.classify(features).lengths
        if not maps:
            raise UserError("the model has no feature maps of several positions over the image")
        chosen = lengths.argmax(dim=1) if labels is None else labels
        (gradient,) = torch.autograd.grad(lengths.gather(1, chosen[:, None]).sum(), maps[-1])
    return (gradient * maps[-1]).sum(dim=1).clamp(min=0).detach(), chosen


@contextmanager
def _last_maps(model: CapsuleModel, images: Tensor | None) -> Iterator[list[Tensor]]:
    """A list whose last entry, after a forward pass, are the last feature maps; images are none."""
    capsules: list[Tensor] = []
    convolved: list[Tensor] = []

    def keep(module: nn.Module, arguments: tuple[object, ...], output: object) -> None:
        source = arguments[0] if arguments else None
        if isinstance(output, Capsules) and source is not images and _has_positions(source):
            capsules.append(source)
        if isinstance(module, nn.Conv2d) and _has_positions(output):
            convolved.append(output)

    maps: list[Tensor] = []
    hooks = [module.register_forward_hook(keep) for module in model.modules()]
    try:
        yield maps
        maps += capsules or convolved
    finally:
        for hook in hooks:
            hook.remove()


def _has_positions(maps: object) -> TypeGuard[Tensor]:
    return isinstance(maps, Tensor) and maps.ndim == 4 and maps.shape[2] * maps.shape[3] > 1


@styled
def draw_evidence(model: CapsuleModel, images: Sample) -> Figure:
    """Draw the evidence for the longest capsule on a few images of different classes.

    Raises:
        UserError: the model has no feature maps of several positions.
    """
    sample = images.pick(different_classes(images))
    inputs = model.inputs.normalize(sample.data.images.to(model.device).float())
    evidence, labels = find_evidence(model, inputs)
    rows, columns = evidence.shape[1:]
    subtitle = (
        f"Where the image feeds the longest class capsule: the {rows}×{columns} positions of the last feature maps, "
        "coloured by how much each lengthens the capsule (feature maps times the gradient of the length, summed over "
        "channels; what shortens it is not shown). Interpolated between positions; each image has its own scale."
    )
    return _draw_rows(sample, evidence.cpu(), labels.cpu(), subtitle)


def _draw_rows(sample: Sample, evidence: Float[Tensor, "b y x"], labels: Int[Tensor, " b"], subtitle: str) -> Figure:
    count = len(sample.data)
    _, high, wide = sample.data.image_shape
    side = min(1.18, 7.4 / count - 0.08)
    tall = side * high / wide
    body = 2 * (tall + 0.3) + 0.75
    figure = new_figure(8.0, body, "Evidence for the longest capsule", subtitle)
    # one view of a stereo pair
    pictures = sample.data.images[:, :1] if sample.data.images.shape[1] == 2 else sample.data.images
    tiles = to_tiles(pictures)
    shares = evidence / evidence.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    smooth = interpolate(shares[:, None], (_SMOOTH, _SMOOTH), mode="bilinear", align_corners=False)[:, 0]
    for column in range(count):
        left = 0.3 + column * (side + 0.08)
        top = axes_at(figure, left, body - 0.28 - tall, side, tall)
        show(top, tiles[column], frame=True)
        top.set_title(class_label(sample.data.class_names, int(sample.data.labels[column]), 12), size=8.5, pad=4)
        below = axes_at(figure, left, body - 0.58 - 2 * tall, side, tall)
        # grey, so that colours are those of the evidence
        grey = tiles[column].mean(axis=-1, keepdims=True).repeat(3, axis=-1)
        show(below, (128 + grey / 2).astype("uint8"), frame=True)
        height, width = tiles.shape[1:3]
        below.imshow(
            smooth[column].numpy(), cmap=_EVIDENCE, norm=_SHARES, extent=(0.0, width, height, 0.0), aspect="auto"
        )
        length = float(sample.capsules.activations[column, labels[column]])
        name = class_label(sample.data.class_names, int(labels[column]), 9)
        below.set_title(f"{name}, {length:.2f}", size=8, weight="normal", pad=3)
    bar = figure.colorbar(
        ScalarMappable(_SHARES, _EVIDENCE), cax=axes_at(figure, 0.3, 0.42, 2.6, 0.12), orientation="horizontal"
    )
    bar.set_label("evidence, as a share of the image's largest", size=8.5)
    bar.outline.set_visible(False)
    return figure


def _draw(subject: Subject) -> Figure:
    return draw_evidence(subject.model, subject.sample)


add_figure(
    "evidence",
    _draw,
    caption="Where the image feeds the longest class capsule, from the gradient of its length with respect to the last "
    "feature maps. It shows what the network used, not whether that is right.",
    place=52,
)

"""What training lowers: the loss of the classes, and the reconstruction loss that keeps the poses honest.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 3 and 4.1.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput
from capsnet.losses import margin_loss, reconstruction_loss

ClassLoss = Callable[[CapsNetOutput, Int[Tensor, " b"]], Float[Tensor, " b"]]


def _margin(output: CapsNetOutput, labels: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    return margin_loss(output.lengths, labels, reduction="none")


def _cross_entropy(output: CapsNetOutput, labels: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """Of the softmax over the classes' logits, which are poses of one dimension."""
    return nn.functional.cross_entropy(output.capsules.poses[..., 0], labels, reduction="none")


CLASS_LOSSES: Mapping[str, ClassLoss] = {"margin": _margin, "cross-entropy": _cross_entropy}


def class_loss(model: nn.Module, output: CapsNetOutput, labels: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """The loss that a model's class names in its attribute `loss`, the margin loss where it names none, of each image.

    Columns and entries called `margin_loss` hold its mean, whichever it is.
    """
    return CLASS_LOSSES[getattr(model, "loss", "margin")](output, labels)


class Losses(NamedTuple):
    """Losses of a batch, each a mean over its images, and how many of them were right; `margin` is the class loss."""

    total: Float[Tensor, ""]
    margin: Float[Tensor, ""]
    reconstruction: Float[Tensor, ""]
    correct: Int[Tensor, ""]


def find_losses(
    model: nn.Module, images: Float[Tensor, "b c h w"], labels: Int[Tensor, " b"], recon_weight: float
) -> Losses:
    """Run a model forward and compare.

    Args:
        model: with `reconstruct` where `recon_weight` is not zero.
        images: in [0, 1].
        labels: of their classes.
        recon_weight: weight of the reconstruction loss; 0 leaves it out.
    """
    output: CapsNetOutput = model(images)
    margin = total = class_loss(model, output, labels).mean()
    reconstruction = torch.zeros_like(margin)
    if recon_weight:
        # the true class is decoded in training, the longest capsule at test (section 4.1)
        drawn: Tensor = model.reconstruct(output.capsules, labels)  # type: ignore[operator]
        reconstruction = reconstruction_loss(drawn, images)
        total = margin + recon_weight * reconstruction
    correct = (output.lengths.detach().argmax(dim=1) == labels).sum()
    return Losses(total, margin, reconstruction, correct)

"""What training lowers: the margin loss, and the reconstruction loss that keeps the poses honest.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 3 and 4.1.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput
from capsnet.losses import margin_loss, reconstruction_loss


class Losses(NamedTuple):
    """Losses of a batch, each a mean over its images, and how many of them were right."""

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
    margin = total = margin_loss(output.lengths, labels)
    reconstruction = torch.zeros_like(margin)
    if recon_weight:
        # the true class is decoded in training, the longest capsule at test (section 4.1)
        drawn: Tensor = model.reconstruct(output.capsules, labels)  # type: ignore[operator]
        reconstruction = reconstruction_loss(drawn, images)
        total = margin + recon_weight * reconstruction
    correct = (output.lengths.detach().argmax(dim=1) == labels).sum()
    return Losses(total, margin, reconstruction, correct)

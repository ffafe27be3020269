"""What training lowers: the loss of the classes, and the reconstruction loss that keeps the poses honest.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 3, 4.1 and 6.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from capsnet.inference.pair_metrics import exact_pairs, find_pairs
from capsnet.losses import reconstruction_loss
from capsnet.losses.class_loss import class_loss, each_label
from capsnet.models import CapsuleModel
from capsnet.training.batches import Batch


class Losses(NamedTuple):
    """Losses of a batch, each a mean over its images, and how many of them were right; `margin` is the class loss."""

    total: Float[Tensor, ""]
    margin: Float[Tensor, ""]
    reconstruction: Float[Tensor, ""]
    correct: Int[Tensor, ""]


def find_losses(model: CapsuleModel, batch: Batch, recon_weight: float, progress: Tensor | None = None) -> Losses:
    """Run a model forward and compare.

    Of a pair both classes are asked for, and each digit is decoded from its own capsule: the reconstruction loss is
    the sum of the two (section 6). A pair is correct where both are found.

    Args:
        model: with `reconstruct` where `recon_weight` is not zero.
        batch: single images or pairs.
        recon_weight: weight of the reconstruction loss; 0 leaves it out.
        progress: share of the run that is done, for a loss that changes in training.
    """
    output = model(batch.inputs)
    margin = total = class_loss(model.loss, output, batch.labels, progress).mean()
    reconstruction = torch.zeros_like(margin)
    if recon_weight:
        for labels, targets in each_label(batch.labels, batch.targets):
            # the true class is decoded in training, the longest capsule at test (section 4.1)
            drawn = model.reconstruct(output.capsules, labels)
            reconstruction = reconstruction + reconstruction_loss(drawn, targets)
        total = margin + recon_weight * reconstruction
    lengths = output.lengths.detach()
    if batch.labels.ndim == 2:
        correct = exact_pairs(find_pairs(lengths), batch.labels)
    else:
        correct = lengths.argmax(dim=1) == batch.labels
    return Losses(total, margin, reconstruction, correct.sum())

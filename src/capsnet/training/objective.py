"""The objective of training: class loss, plus reconstruction loss as a regulariser of the poses.

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
    """Losses of a batch, as means over its images, and its number of correct images; `margin` is the class loss."""

    total: Float[Tensor, ""]
    margin: Float[Tensor, ""]
    reconstruction: Float[Tensor, ""]
    correct: Int[Tensor, ""]


def find_losses(model: CapsuleModel, batch: Batch, recon_weight: float, progress: Tensor | None = None) -> Losses:
    """Run a model forward and compute its losses.

    For pairs, both classes are targets, and each digit is decoded from its own capsule: the reconstruction loss is the
    sum of the two (section 6). A pair is correct if both digits are predicted.

    Args:
        model: with a decoder if `recon_weight` is not zero.
        batch: single images or pairs.
        recon_weight: weight of the reconstruction loss; 0 skips it.
        progress: completed share of the run, for a loss with a schedule.
    """
    output = batch.run(model)
    margin = total = class_loss(model.loss, output, batch.labels, progress).mean()
    reconstruction = torch.zeros_like(margin)
    if recon_weight:
        for labels, targets in each_label(batch.labels, batch.targets):
            # decode the true class in training, the longest capsule in testing (section 4.1)
            reconstructions = model.reconstruct(output.capsules, labels)
            reconstruction = reconstruction + reconstruction_loss(reconstructions, targets)
        total = margin + recon_weight * reconstruction
    lengths = output.lengths.detach()
    if batch.labels.ndim == 2:
        correct = exact_pairs(find_pairs(lengths), batch.labels)
    else:
        correct = lengths.argmax(dim=1) == batch.labels
    return Losses(total, margin, reconstruction, correct.sum())

"""Losses that treat class capsules as a distribution over classes.

Hahn, Pyeon, Kim, "Self-Routing Capsule Networks", NeurIPS 2019 (negative log-likelihood of activations); Tsai et al.,
"Capsules with Inverted Dot-Product Attention Routing", ICLR 2020 (cross-entropy of logits).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from capsnet.capsules import CapsNetOutput
from capsnet.errors import UserError
from capsnet.functional import check_labels
from capsnet.functional.precision import widen
from capsnet.losses.base import LOSSES, Labels, Loss, Reduction, mark_classes, reduce


def activation_nll_loss(
    activations: Float[Tensor, "b n"], labels: Int[Tensor, " b"] | Int[Tensor, "b 1"], reduction: Reduction = "mean"
) -> Float[Tensor, ""] | Float[Tensor, " b"]:
    r"""Negative log-likelihood of the true class, where activations are probabilities: $-\log (a_t / \sum_i a_i)$.

    Activations are normalised by their sum; those of self-routing already sum to one. For a softmax's output this is
    the cross-entropy.

    Args:
        activations: activations of the class capsules, not negative.
        labels: class indices, t.
        reduction: over the batch: `"mean"`, `"sum"` or `"none"`.

    Shapes:
        activations `b n`, labels `b`; result: a scalar, or `b` for `"none"`.

    Raises:
        UserError: an unknown reduction, labels of another shape, or a class that does not exist.

    Differs from the paper:
        1e-30 is added to each activation: the logarithm of zero has no gradient.

    Example:
        >>> activation_nll_loss(torch.tensor([[0.25, 0.75]]), torch.tensor([0]))  # log 4
        tensor(1.3863)
    """
    labels = check_labels(labels, *activations.shape)
    logits = (widen(activations) + 1e-30).log()
    return reduce(torch.nn.functional.cross_entropy(logits, labels, reduction="none"), reduction)


def cross_entropy_loss(
    logits: Float[Tensor, "b n"], labels: Int[Tensor, " b"] | Int[Tensor, "b 1"], reduction: Reduction = "mean"
) -> Float[Tensor, ""] | Float[Tensor, " b"]:
    r"""Cross-entropy of the softmax of any scores of the classes: $-\log \mathrm{softmax}(x)_t$.

    Args:
        logits: scores of the classes: logits, or activations where the paper takes those (Ribeiro et al. 2020).
        labels: class indices, t.
        reduction: over the batch: `"mean"`, `"sum"` or `"none"`.

    Shapes:
        logits `b n`, labels `b`; result: a scalar, or `b` for `"none"`.

    Raises:
        UserError: an unknown reduction, labels of another shape, or a class that does not exist.
    """
    labels = check_labels(labels, *logits.shape)
    return reduce(torch.nn.functional.cross_entropy(widen(logits), labels, reduction="none"), reduction)


class LikelihoodLoss(Loss):
    """`activation_nll_loss` of a model's lengths, as a module."""

    words = "log-likelihood loss"

    def forward(self, output: CapsNetOutput, labels: Labels, progress: Tensor | None = None) -> Float[Tensor, " b"]:
        """The loss of each image."""
        return activation_nll_loss(output.lengths, labels, reduction="none")


class LengthCrossEntropyLoss(Loss):
    """`cross_entropy_loss` of a model's lengths, as a module."""

    words = "cross-entropy"

    def forward(self, output: CapsNetOutput, labels: Labels, progress: Tensor | None = None) -> Float[Tensor, " b"]:
        """The loss of each image."""
        return cross_entropy_loss(output.lengths, labels, reduction="none")


class CrossEntropyLoss(Loss):
    """Cross-entropy of the softmax over the classes' logits, which are poses of one dimension.

    Raises:
        UserError: poses of several dimensions.
    """

    words = "cross-entropy"
    pairs = True

    def forward(self, output: CapsNetOutput, labels: Labels, progress: Tensor | None = None) -> Float[Tensor, " b"]:
        """The loss of each image; for a pair, half for each class."""
        if output.capsules.poses.shape[2] != 1:
            raise UserError(
                "the loss cross-entropy is for logits, poses of one dimension, got poses of "
                f"{output.capsules.poses.shape[2]}; for lengths or activations give length-cross-entropy"
            )
        logits = output.capsules.poses[..., 0]
        if labels.ndim == 1:
            return torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        marks = mark_classes(labels, logits.shape[1]).to(logits.dtype)
        return torch.nn.functional.cross_entropy(logits, marks / 2, reduction="none")


LOSSES.add("likelihood", LikelihoodLoss())
LOSSES.add("length-cross-entropy", LengthCrossEntropyLoss())
LOSSES.add("cross-entropy", CrossEntropyLoss())

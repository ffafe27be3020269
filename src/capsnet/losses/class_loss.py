"""The loss that a model is trained by, by its name: what training lowers and evaluation reports.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 3; the other losses' sources stand in
their own files.
"""

from collections.abc import Callable, Mapping

from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput
from capsnet.errors import UserError
from capsnet.functional import check_labels
from capsnet.functional.labels import check_tensor
from capsnet.losses.likelihood import activation_nll_loss, cross_entropy_loss
from capsnet.losses.margin import margin_loss
from capsnet.losses.spread import spread_loss, spread_margin

Labels = Int[Tensor, " b"] | Int[Tensor, "b 2"]
ClassLoss = Callable[[CapsNetOutput, Labels, Tensor | None], Float[Tensor, " b"]]


# after so many steps the margin of the authors' code no longer rises
_AUTHORS_STEPS = 500_000


def _margin(output: CapsNetOutput, labels: Labels, progress: Tensor | None) -> Float[Tensor, " b"]:
    return margin_loss(output.lengths, mark_classes(labels, output.lengths.shape[1]), reduction="none")


def _hard_margin(output: CapsNetOutput, labels: Labels, progress: Tensor | None) -> Float[Tensor, " b"]:
    """The margin loss of the second half of training in DeepCaps (Rajasegaran et al. 2019), from the authors' code."""
    marks = mark_classes(labels, output.lengths.shape[1])
    return margin_loss(output.lengths, marks, positive=0.95, negative=0.05, downweight=0.8, reduction="none")


def _cross_entropy(output: CapsNetOutput, labels: Labels, progress: Tensor | None) -> Float[Tensor, " b"]:
    """Of the softmax over the classes' logits, which are poses of one dimension; of a pair, half for each class."""
    logits = output.capsules.poses[..., 0]
    if labels.ndim == 1:
        return nn.functional.cross_entropy(logits, labels, reduction="none")
    marks = mark_classes(labels, logits.shape[1]).to(logits.dtype)
    return nn.functional.cross_entropy(logits, marks / 2, reduction="none")


def _spread(output: CapsNetOutput, labels: Labels, progress: Tensor | None) -> Float[Tensor, " b"]:
    """With a margin that rises over a run as the authors' over theirs; outside of training that of the paper's end."""
    margin = 0.9 if progress is None else spread_margin(progress * _AUTHORS_STEPS)
    return spread_loss(output.lengths, labels, margin, reduction="none")


def _likelihood(output: CapsNetOutput, labels: Labels, progress: Tensor | None) -> Float[Tensor, " b"]:
    return activation_nll_loss(output.lengths, labels, reduction="none")


def _cross_entropy_of_lengths(output: CapsNetOutput, labels: Labels, progress: Tensor | None) -> Float[Tensor, " b"]:
    return cross_entropy_loss(output.lengths, labels, reduction="none")


CLASS_LOSSES: Mapping[str, ClassLoss] = {
    "margin": _margin,
    "hard-margin": _hard_margin,
    "cross-entropy": _cross_entropy,
    "spread": _spread,
    "likelihood": _likelihood,
    "length-cross-entropy": _cross_entropy_of_lengths,
}


LOSS_WORDS: Mapping[str, str] = {
    "margin": "margin loss",
    "hard-margin": "margin loss",
    "cross-entropy": "cross-entropy",
    "spread": "spread loss",
    "likelihood": "log-likelihood loss",
    "length-cross-entropy": "cross-entropy",
}
"""How each is called where a person reads it."""


LOSS_TARGETS: Mapping[str, tuple[float, float]] = {"margin": (0.9, 0.1), "hard-margin": (0.95, 0.05)}
"""Lengths that a loss trains the true class and the others towards, of the losses that have such lengths."""


def class_loss(name: str, output: CapsNetOutput, labels: Labels, progress: Tensor | None = None) -> Float[Tensor, " b"]:
    """The loss of each image by the name that a model has in its attribute `loss`.

    Columns and entries called `margin_loss` hold its mean, whichever it is.

    Args:
        name: of the loss, a key of `CLASS_LOSSES`.
        output: of the model.
        labels: true classes.
        progress: share of the run that is done, for a loss that changes in training.

    Raises:
        UserError: labels of another shape or that are no class, or of pairs, for a loss that knows one class only.
    """
    labels = _checked(labels, *output.lengths.shape)
    if labels.ndim == 2 and name not in ("margin", "hard-margin", "cross-entropy"):
        raise UserError(f"the {name} loss knows one class for each image; train pairs by the margin loss")
    return CLASS_LOSSES[name](output, labels, progress)


def _checked(labels: Labels, samples: int, classes: int) -> Labels:
    """Labels of images, or of pairs of two different classes."""
    check_tensor(labels, "labels")
    if labels.ndim != 2 or labels.shape[1] != 2:
        return check_labels(labels, samples, classes)
    if classes < 3:
        raise UserError(
            f"labels must be one class index for each image, got the shape {tuple(labels.shape)} for {classes} "
            "classes; of rows with a 1 at the class, use labels.argmax(dim=1)"
        )
    return check_labels(labels.flatten(), 2 * samples, classes).reshape(samples, 2)


def mark_classes(labels: Labels, classes: int) -> Int[Tensor, "b n"]:
    """One row for each image, with 1 for each class that is there.

    Shapes:
        labels `b` or `b 2`, result `b n`.
    """
    marks = nn.functional.one_hot(labels, classes)
    return marks if labels.ndim == 1 else marks.sum(dim=1)


def each_label(labels: Tensor, targets: Tensor) -> list[tuple[Int[Tensor, " b"], Float[Tensor, "b c h w"]]]:
    """The labels of images with what their capsules should draw; of pairs, first those of one digit, then the other's.

    Shapes:
        labels `b` or `b 2`; targets `b c h w` or `b 2 c h w`.
    """
    if labels.ndim == 1:
        return [(labels, targets)]
    return list(zip(labels.unbind(1), targets.unbind(1), strict=True))

"""The loss that a model is trained by, by its name: what training lowers and evaluation reports."""

from jaxtyping import Float, Int
from torch import Tensor

from capsnet.capsules import CapsNetOutput
from capsnet.errors import UserError
from capsnet.functional import check_labels
from capsnet.functional.labels import check_tensor
from capsnet.losses.base import LOSSES, Labels


def class_loss(name: str, output: CapsNetOutput, labels: Labels, progress: Tensor | None = None) -> Float[Tensor, " b"]:
    """The loss of each image by the name that a model has in its attribute `loss`.

    Columns and entries called `margin_loss` hold its mean, whichever it is.

    Args:
        name: of the loss in `LOSSES`.
        output: of the model.
        labels: true classes.
        progress: share of the run that is done, for a loss that changes in training.

    Raises:
        UserError: an unknown loss, labels of another shape or that are no class, or of pairs, for a loss that knows one
            class only.
    """
    loss = LOSSES.get(name)
    labels = _checked(labels, *output.lengths.shape)
    if labels.ndim == 2 and not loss.pairs:
        raise UserError(f"the {name} loss knows one class for each image; train pairs by the margin loss")
    return loss(output, labels, progress)


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


def each_label(labels: Tensor, targets: Tensor) -> list[tuple[Int[Tensor, " b"], Float[Tensor, "b c h w"]]]:
    """The labels of images with what their capsules should draw; of pairs, first those of one digit, then the other's.

    Shapes:
        labels `b` or `b 2`; targets `b c h w` or `b 2 c h w`.
    """
    if labels.ndim == 1:
        return [(labels, targets)]
    return list(zip(labels.unbind(1), targets.unbind(1), strict=True))

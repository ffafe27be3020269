"""Classification losses by name, for training and evaluation."""

from jaxtyping import Float, Int
from torch import Tensor

from capsnet.capsules import CapsNetOutput
from capsnet.errors import UserError
from capsnet.functional import check_labels
from capsnet.functional.labels import check_tensor
from capsnet.losses.base import LOSSES, Labels


def class_loss(name: str, output: CapsNetOutput, labels: Labels, progress: Tensor | None = None) -> Float[Tensor, " b"]:
    """The loss of each image, by the name in a model's attribute `loss`.

    Its mean is recorded as `margin_loss`, whatever the loss.

    Args:
        name: name of the loss in `LOSSES`.
        output: the model's output.
        labels: true classes.
        progress: fraction of training completed, for losses that change over training.

    Raises:
        UserError: an unknown loss, invalid labels, or labels of pairs for a loss that supports one class per image.
    """
    loss = LOSSES.get(name)
    labels = _checked(labels, *output.lengths.shape)
    if labels.ndim == 2 and not loss.pairs:
        raise UserError(f"the {name} loss supports one class per image; train pairs with the margin loss")
    return loss(output, labels, progress)


def _checked(labels: Labels, samples: int, classes: int) -> Labels:
    """Labels of images, or of pairs of two different classes."""
    check_tensor(labels, "labels")
    if labels.ndim != 2 or labels.shape[1] != 2:
        return check_labels(labels, samples, classes)
    if classes < 3:
        raise UserError(
            f"labels must be one class index for each image, got shape {tuple(labels.shape)} for {classes} "
            "classes; for one-hot rows use labels.argmax(dim=1)"
        )
    return check_labels(labels.flatten(), 2 * samples, classes).reshape(samples, 2)


def each_label(labels: Tensor, targets: Tensor) -> list[tuple[Int[Tensor, " b"], Float[Tensor, "b c h w"]]]:
    """Labels with their reconstruction targets; for pairs, one entry for each of the two digits.

    Shapes:
        labels `b` or `b 2`; targets `b c h w` or `b 2 c h w`.
    """
    if labels.ndim == 1:
        return [(labels, targets)]
    return list(zip(labels.unbind(1), targets.unbind(1), strict=True))

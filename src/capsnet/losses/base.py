"""The base class of classification losses: modules that compare a model's output with the true classes."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput
from capsnet.errors import UserError
from capsnet.functional.labels import one_hot
from capsnet.registry import Registry

Labels = Int[Tensor, " b"] | Int[Tensor, "b 2"]
Reduction = Literal["mean", "sum", "none"]


class Loss(nn.Module, ABC):
    """Base class of classification losses; subclasses implement `forward`.

    Attributes:
        words: display name.
        pairs: whether the loss supports images with two classes each, labels `b 2`.
        targets: target lengths of the true class and of the others; None: the loss has none.
        changes: whether the loss depends on `progress`.
    """

    words: ClassVar[str]
    pairs: ClassVar[bool] = False
    targets: tuple[float, float] | None = None
    changes: ClassVar[bool] = False

    @abstractmethod
    def forward(
        self, output: CapsNetOutput, labels: Labels, progress: Float[Tensor, ""] | None = None
    ) -> Float[Tensor, " b"]:
        """The loss of each image.

        Args:
            output: the model's output.
            labels: true classes.
            progress: fraction of training completed, for losses that change over training; None: not training.

        Shapes:
            labels `b`, or `b 2` for pairs; result `b`.
        """

    if TYPE_CHECKING:
        # nn.Module.__call__ is untyped
        def __call__(
            self, output: CapsNetOutput, labels: Labels, progress: Tensor | None = None
        ) -> Float[Tensor, " b"]: ...


LOSSES: Registry[Loss] = Registry("loss", "capsnet.losses")
"""Losses by the name that a model's attribute `loss` holds."""


def mark_classes(labels: Labels, classes: int) -> Int[Tensor, "b n"]:
    """One row for each image, with 1 for each class present.

    Shapes:
        labels `b` or `b 2`, result `b n`.
    """
    marks = one_hot(labels, classes)
    return marks if labels.ndim == 1 else marks.sum(dim=1)


def reduce(loss: Float[Tensor, " b"], reduction: Reduction) -> Float[Tensor, ""] | Float[Tensor, " b"]:
    """Reduce a loss over the batch."""
    if reduction not in ("mean", "sum", "none"):
        raise UserError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss

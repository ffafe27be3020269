"""Margin loss. Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Eq. 4."""

from jaxtyping import Float, Shaped
from torch import Tensor

from capsnet.capsules import CapsNetOutput
from capsnet.functional import check_labels, check_marks
from capsnet.functional.labels import check_tensor, one_hot
from capsnet.losses.base import LOSSES, Labels, Loss, Reduction, mark_classes, reduce


def margin_loss(
    lengths: Float[Tensor, "b n"],
    targets: Shaped[Tensor, "b n"] | Shaped[Tensor, " b"] | Shaped[Tensor, "b 1"],
    positive: float = 0.9,
    negative: float = 0.1,
    downweight: float = 0.5,
    reduction: Reduction = "mean",
) -> Float[Tensor, ""] | Float[Tensor, " b"]:
    r"""Penalise short capsules of present classes and long capsules of absent ones.

    $$L_k = T_k \max(0, m^+ - \|v_k\|)^2 + \lambda (1 - T_k) \max(0, \|v_k\| - m^-)^2$$

    summed over the classes k. The authors' code takes half of it and the mean over classes: 1/20 for ten classes.

    Args:
        lengths: lengths of the class capsules.
        targets: class indices, or one row per sample with 1 for each class present (several are possible). For a single
            class, `b 1` are such rows.
        positive: the margin m+.
        negative: the margin m-.
        downweight: λ, the weight of absent classes.
        reduction: over the batch: `"mean"`, `"sum"` or `"none"`.

    Shapes:
        lengths `b n`; targets `b`, `b 1` or `b n`; result: a scalar, or `b` for `"none"`.

    Raises:
        UserError: an unknown reduction, targets of another shape, or values that are neither classes nor 0 and 1.

    Example:
        >>> margin_loss(torch.tensor([[0.5, 0.2]]), torch.tensor([0]))  # 0.4 ** 2 + 0.5 * 0.1 ** 2
        tensor(0.1650)
    """
    check_tensor(targets, "targets")
    samples, classes = lengths.shape
    if targets.shape == lengths.shape:
        check_marks(targets)
    else:
        targets = one_hot(check_labels(targets, samples, classes), classes)
    present = targets.to(lengths.dtype)
    missing_length = (positive - lengths).clamp(min=0).square()
    excess_length = (lengths - negative).clamp(min=0).square()
    loss = (present * missing_length + downweight * (1 - present) * excess_length).sum(dim=1)
    return reduce(loss, reduction)


class MarginLoss(Loss):
    """`margin_loss` of a model's lengths, as a module.

    Args:
        positive: the margin m+.
        negative: the margin m-.
        downweight: λ, the weight of absent classes.
    """

    words = "margin loss"
    pairs = True

    def __init__(self, positive: float = 0.9, negative: float = 0.1, downweight: float = 0.5) -> None:
        super().__init__()
        self.positive, self.negative, self.downweight = positive, negative, downweight
        self.targets = (positive, negative)

    def forward(self, output: CapsNetOutput, labels: Labels, progress: Tensor | None = None) -> Float[Tensor, " b"]:
        """The loss of each image, which may show several classes."""
        marks = mark_classes(labels, output.lengths.shape[1])
        margins = (self.positive, self.negative, self.downweight)
        return margin_loss(output.lengths, marks, *margins, reduction="none")

    def extra_repr(self) -> str:
        return f"positive={self.positive}, negative={self.negative}, downweight={self.downweight}"


LOSSES.add("margin", MarginLoss())
# for the second half of training of DeepCaps (Rajasegaran et al. 2019), from the authors' code
LOSSES.add("hard-margin", MarginLoss(positive=0.95, negative=0.05, downweight=0.8))

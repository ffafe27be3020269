"""Margin loss at each pixel. LaLonde, Bagci, "Capsules for Object Segmentation", MIDL 2018: weighted margin loss."""

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from capsnet.functional.precision import widen
from capsnet.losses.base import Reduction, reduce
from capsnet.losses.dice import check_masks


def pixel_margin_loss(
    lengths: Float[Tensor, "b n *space"],
    masks: Shaped[Tensor, "b n *space"],
    positive: float = 0.9,
    negative: float = 0.1,
    downweight: float = 0.5,
    positive_weight: float = 1.0,
    reduction: Reduction = "mean",
) -> Float[Tensor, ""] | Float[Tensor, " b"]:
    r"""The margin loss of Sabour et al. (2017, Eq. 4) at each pixel, averaged over pixels and classes.

    $$L = w T \max(0, m^+ - \|v\|)^2 + \lambda (1 - T) \max(0, \|v\| - m^-)^2$$

    Args:
        lengths: capsule lengths at each pixel.
        masks: 1 where the class is, 0 elsewhere; a pixel may belong to several classes.
        positive: the margin m+.
        negative: the margin m-.
        downweight: λ, the weight of pixels without the class.
        positive_weight: w, the weight of pixels with the class; often the ratio of pixels without it to those with it.
        reduction: over the batch: `"mean"`, `"sum"` or `"none"`.

    Shapes:
        lengths and masks `b n *space`; result: a scalar, or `b` for `"none"`.

    Raises:
        UserError: shapes that differ, masks of other values than 0 and 1, or an unknown reduction.

    Differs from the paper:
        The authors' code takes half of it.

    Example:
        >>> pixel_margin_loss(torch.tensor([[[[0.5, 0.2]]]]), torch.tensor([[[[1, 0]]]]))  # (0.16 + 0.5 * 0.01) / 2
        tensor(0.0825)
    """
    check_masks(lengths, masks)
    lengths = widen(lengths)
    present = masks.to(lengths.dtype)
    missing = (positive - lengths).clamp(min=0).square()
    excess = (lengths - negative).clamp(min=0).square()
    loss = positive_weight * present * missing + downweight * (1 - present) * excess
    return reduce(loss.flatten(1).mean(dim=1), reduction)


class PixelMarginLoss(nn.Module):
    """`pixel_margin_loss` as a module.

    Args:
        positive: the margin m+.
        negative: the margin m-.
        downweight: λ, the weight of pixels without the class.
        positive_weight: w, the weight of pixels with the class.
    """

    def __init__(
        self, positive: float = 0.9, negative: float = 0.1, downweight: float = 0.5, positive_weight: float = 1.0
    ) -> None:
        super().__init__()
        self.positive, self.negative = positive, negative
        self.downweight, self.positive_weight = downweight, positive_weight

    def forward(self, lengths: Float[Tensor, "b n *space"], masks: Shaped[Tensor, "b n *space"]) -> Tensor:
        """The mean loss of a batch."""
        margins = (self.positive, self.negative, self.downweight, self.positive_weight)
        return pixel_margin_loss(lengths, masks, *margins)

    def extra_repr(self) -> str:
        return (
            f"positive={self.positive}, negative={self.negative}, downweight={self.downweight}, "
            f"positive_weight={self.positive_weight}"
        )

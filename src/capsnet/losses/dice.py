"""Dice loss of masks. Milletari, Navab, Ahmadi, "V-Net", 3DV 2016, Eq. 3, in the form of SegCaps' code."""

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from capsnet.errors import UserError
from capsnet.functional.labels import can_read
from capsnet.functional.precision import widen
from capsnet.losses.base import Reduction, reduce


def dice_loss(
    lengths: Float[Tensor, "b n *space"],
    masks: Shaped[Tensor, "..."],
    smooth: float = 1e-5,
    reduction: Reduction = "mean",
    *,
    pooled: bool = False,
) -> Float[Tensor, ""] | Float[Tensor, " b"]:
    r"""One minus the soft Dice coefficient of each class, averaged over classes.

    $$1 - \frac{2 \sum_p l_p t_p + \epsilon}{\sum_p l_p + \sum_p t_p + \epsilon}$$

    Args:
        lengths: capsule lengths at each pixel, or probabilities.
        masks: 1 where the class is, 0 elsewhere; a pixel may belong to several classes.
        smooth: ε; a class that is absent from both has the loss 0.
        reduction: over the batch: `"mean"`, `"sum"` or `"none"`.
        pooled: one quotient over all classes, which counts each pixel once, instead of the mean of one for each class.
            With many classes of which an image has few, the mean is nearly that of absent classes, whose loss is
            nearly 1 until their lengths are zero.

    Shapes:
        lengths and masks `b n *space`; result: a scalar, or `b` for `"none"`.

    Raises:
        UserError: shapes that differ, masks of other values than 0 and 1, `smooth` of 0 or less, or an unknown
            reduction.

    Differs from the paper:
        The authors of SegCaps convert lengths to logits before the sums, which makes the quotient negative or
        infinite; here the sums are over the lengths themselves.

    Example:
        >>> dice_loss(torch.tensor([[[[1.0, 0.5]]]]), torch.tensor([[[[1, 0]]]]))  # 1 - 2 / (1.5 + 1)
        tensor(0.2000)
    """
    if not smooth > 0:
        raise UserError(f"smooth must be greater than 0, got {smooth:g}: a class without pixels would be 0 / 0")
    check_masks(lengths, masks)
    # a sum over an image's pixels exceeds half precision
    lengths = widen(lengths)
    present = masks.to(lengths.dtype)
    axes = tuple(range(1 if pooled else 2, lengths.ndim))
    both = (lengths * present).sum(dim=axes)
    total = lengths.sum(dim=axes) + present.sum(dim=axes)
    loss = 1 - (2 * both + smooth) / (total + smooth)
    return reduce(loss if pooled else loss.mean(dim=1), reduction)


def check_masks(lengths: Tensor, masks: Tensor) -> None:
    """Check that masks fit the lengths.

    Raises:
        UserError: another shape, or (where masks are on the CPU) values other than 0 and 1.
    """
    if lengths.ndim < 3 or masks.shape != lengths.shape:
        sizes = f"{tuple(lengths.shape)}, got {tuple(masks.shape)}"
        raise UserError(f"masks must be b x n x space like the lengths, {sizes}")
    if can_read(masks) and not ((masks == 0) | (masks == 1)).all():
        raise UserError(f"masks must be 0 or 1, got {float(masks.min()):g} to {float(masks.max()):g}; divide by 255?")


class DiceLoss(nn.Module):
    """`dice_loss` as a module.

    Args:
        smooth: ε.
        pooled: one quotient over all classes.
    """

    def __init__(self, smooth: float = 1e-5, *, pooled: bool = False) -> None:
        super().__init__()
        self.smooth, self.pooled = smooth, pooled

    def forward(self, lengths: Float[Tensor, "b n *space"], masks: Shaped[Tensor, "b n *space"]) -> Tensor:
        """The mean loss of a batch."""
        return dice_loss(lengths, masks, self.smooth, pooled=self.pooled)

    def extra_repr(self) -> str:
        return f"smooth={self.smooth}, pooled={self.pooled}"

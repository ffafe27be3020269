"""Reconstruction loss.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 4.1.
"""

from jaxtyping import Float
from torch import Tensor

from capsnet.errors import UserError
from capsnet.losses.base import Reduction, reduce


def reconstruction_loss(
    reconstructions: Float[Tensor, "b c h w"],
    images: Float[Tensor, "b c h w"],
    reduction: Reduction = "mean",
) -> Float[Tensor, ""] | Float[Tensor, " b"]:
    """Sum of the squared errors of an image's pixels.

    The paper scales it by 0.0005. For an image of 784 pixels that is 0.392 times the mean squared error, the form in
    which many implementations write it. The authors' code has the same 0.0005 beside a margin loss 20 times smaller
    than Eq. 4, so that its weight is 0.01 against the margin loss of this package.

    Args:
        reconstructions: decoder output, in [0, 1].
        images: targets, in [0, 1].
        reduction: over the batch: `"mean"`, `"sum"` or `"none"`.

    Shapes:
        both `b c h w`; result: a scalar, or `b` for `"none"`.

    Raises:
        UserError: an unknown reduction, or different shapes.
    """
    if reconstructions.shape != images.shape:
        raise UserError(
            f"reconstructions and images must have one shape, got {tuple(reconstructions.shape)} and "
            f"{tuple(images.shape)}"
        )
    return reduce((reconstructions - images).square().flatten(1).sum(dim=1), reduction)

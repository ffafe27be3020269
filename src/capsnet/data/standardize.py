"""Standardisation of each image, as in the authors' code.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, released code.
"""

from jaxtyping import Float
from torch import Tensor


def standardize_images(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Give each image zero mean and unit variance over all of its N values: (x - mean) / max(std, 1/sqrt(N)).

    The lower bound on the standard deviation keeps an image of one colour at zero; it is small if white is 255.

    Shapes:
        images `b c h w`, result as images.
    """
    count = images[0].numel()
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    std = images.std(dim=(1, 2, 3), keepdim=True, correction=0)
    return (images - mean) / std.clamp(min=count**-0.5)

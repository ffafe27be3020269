"""Contrast: the difference of each pixel from the mean is scaled by a random factor.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, released code: 0.2 to 1.8, after brightness,
without clipping.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.bounds import Bound
from capsnet.data.transforms.random import draw_uniform
from capsnet.data.transforms.transform import Shape


@dataclass(frozen=True)
class Contrast:
    """Scale the contrast of an image by a factor from 1 - `amount` to 1 + `amount`. For float images, after scaling.

    Args:
        amount: the largest change of the factor.

    Raises:
        UserError: an amount that is not from 0 to 1.
    """

    amount: int | float

    def __post_init__(self) -> None:
        Bound(0, 1).check("amount", self.amount)

    def draw(self, count: int, generator: torch.Generator, shape: Shape) -> Float[Tensor, " m"]:
        """Draw the factor of each image.

        Shapes:
            result `count`.
        """
        return draw_uniform(count, 1 - self.amount, 1 + self.amount, generator)

    def apply(self, images: Float[Tensor, "b c h w"], draws: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        """Scale each image's contrast by its own factor.

        Shapes:
            images `b c h w`, draws `b`, result as images.
        """
        return adjust_contrast(images, draws)


def adjust_contrast(images: Float[Tensor, "b c h w"], factors: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """Scale the difference of each pixel from the mean of its channel by the image's own factor.

    Shapes:
        images `b c h w`, factors `b`, result as images.
    """
    mean = images.mean(dim=(2, 3), keepdim=True)
    return torch.lerp(mean, images, factors[:, None, None, None])

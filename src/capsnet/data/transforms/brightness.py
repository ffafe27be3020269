"""Brightness: a random amount is added to all pixels of each image.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, released code: up to 63 of 255, without
clipping.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.bounds import Bound
from capsnet.data.transforms.random import draw_uniform
from capsnet.data.transforms.transform import Shape


@dataclass(frozen=True)
class Brightness:
    """Add a random number from -`amount` to `amount` to all pixels of an image. For float images, after scaling.

    Args:
        amount: the largest change; white is 255.

    Raises:
        UserError: an amount that is not from 0 to 255.
    """

    amount: int | float

    def __post_init__(self) -> None:
        Bound(0, 255).check("amount", self.amount)

    def draw(self, count: int, generator: torch.Generator, shape: Shape) -> Float[Tensor, " m"]:
        """Draw the number that is added to each image.

        Shapes:
            result `count`.
        """
        return draw_uniform(count, -self.amount, self.amount, generator)

    def apply(self, images: Float[Tensor, "b c h w"], draws: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        """Add each image's own amount.

        Shapes:
            images `b c h w`, draws `b`, result as images.
        """
        return adjust_brightness(images, draws)


def adjust_brightness(images: Float[Tensor, "b c h w"], amounts: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """Add each image's own amount to all of its pixels.

    Shapes:
        images `b c h w`, amounts `b`, result as images.
    """
    return images + amounts[:, None, None, None]

"""Rotate: each image is rotated about its middle by a random angle."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from capsnet.bounds import Bound
from capsnet.data.transforms.affine import affine_images, rotations
from capsnet.data.transforms.random import Distribution, check_distribution, draw_normal, draw_uniform
from capsnet.data.transforms.transform import Shape, check_square


@dataclass(frozen=True)
class Rotate:
    """Rotate each square image by an angle from -`degrees` to `degrees`, with bilinear interpolation and zero fill.

    Args:
        degrees: the largest angle.
        chance: probability that an image is rotated.
        distribution: distribution of the angles: `"uniform"`, or `"normal"` with standard deviation 0.33 `degrees`,
            clipped at `degrees` (Efficient-CapsNet's authors).

    Raises:
        UserError: a value out of range; from `draw`, images that are not square.
    """

    degrees: int | float
    chance: int | float = 1.0
    distribution: Distribution = "uniform"

    def __post_init__(self) -> None:
        Bound(0, 360).check("degrees", self.degrees)
        Bound(0, 1).check("chance", self.chance)
        check_distribution(self.distribution)

    def draw(self, count: int, generator: torch.Generator, shape: Shape) -> Float[Tensor, " m"]:
        """Draw the angle of each image in degrees, 0 for images that are not rotated.

        Shapes:
            result `count`.
        """
        check_square("Rotate", shape)
        if self.distribution == "normal":
            angles = draw_normal(count, self.degrees, generator)
        else:
            angles = draw_uniform(count, -self.degrees, self.degrees, generator)
        if self.chance < 1:
            angles *= draw_uniform(count, 0.0, 1.0, generator) < self.chance
        return angles

    def apply(self, images: Shaped[Tensor, "b c s s"], draws: Float[Tensor, " b"]) -> Shaped[Tensor, "b c s s"]:
        """Rotate each image anticlockwise by its own angle.

        Shapes:
            images `b c s s`, draws `b`, result as images.
        """
        return rotate_images(images, draws)


def rotate_images(images: Shaped[Tensor, "b c s s"], degrees: Float[Tensor, " b"]) -> Shaped[Tensor, "b c s s"]:
    """Rotate each square image anticlockwise about its middle by its own angle.

    Shapes:
        images `b c s s`, degrees `b`, result as images.

    Example:
        >>> rotate_images(images, draw_uniform(len(images), -15, 15, generator))
    """
    return affine_images(images, rotations(degrees), degrees.new_zeros(len(degrees), 2), images.shape[-1])

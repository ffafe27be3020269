"""Flip: images are mirrored horizontally at random."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from capsnet.bounds import Bound
from capsnet.data.transforms.transform import Shape


@dataclass(frozen=True)
class Flip:
    """Mirror images horizontally.

    Args:
        chance: probability that an image is mirrored.

    Raises:
        UserError: a probability that is not from 0 to 1.
    """

    chance: int | float = 0.5

    def __post_init__(self) -> None:
        Bound(0, 1).check("chance", self.chance)

    def draw(self, count: int, generator: torch.Generator, shape: Shape) -> Bool[Tensor, " m"]:
        """Draw for each image whether it is mirrored.

        Shapes:
            result `count`.
        """
        return torch.rand(count, generator=generator, device=generator.device) < self.chance

    def apply(self, images: Shaped[Tensor, "b c h w"], draws: Bool[Tensor, " b"]) -> Shaped[Tensor, "b c h w"]:
        """Mirror the chosen images.

        Shapes:
            images `b c h w`, draws `b`, result as images.
        """
        return flip_images(images, draws)


def flip_images(images: Shaped[Tensor, "b c h w"], flips: Bool[Tensor, " b"]) -> Shaped[Tensor, "b c h w"]:
    """Mirror the chosen images horizontally.

    Shapes:
        images `b c h w`, flips `b`, result as images.
    """
    return torch.where(flips[:, None, None, None], images.flip(3), images)

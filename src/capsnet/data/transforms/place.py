"""Place: the content of each image moves to a random position in its frame.

Mazzia, Salvetti, Chiaberge, "Efficient-CapsNet", Scientific Reports 2021, the authors' code for MNIST, which is that of
Byerly, Kalganova, Dear, "No routing needed between capsules", 2020.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from capsnet.data.transforms.random import Distribution, check_distribution, draw_normal
from capsnet.data.transforms.shift import shift_images
from capsnet.data.transforms.transform import Shape


@dataclass(frozen=True)
class Place:
    """Move the non-black pixels of each image within its frame, without cutting any off.

    Args:
        distribution: `"uniform"`: every position is equally likely. `"normal"`, as in the code of Efficient-CapsNet's
            authors: the shift is a normally distributed share of the room on that side, with standard deviation 0.33,
            so that most digits stay near their position.

    Raises:
        UserError: an unknown distribution.
    """

    distribution: Distribution = "uniform"

    def __post_init__(self) -> None:
        check_distribution(self.distribution)

    def draw(self, count: int, generator: torch.Generator, shape: Shape) -> Float[Tensor, "m 2"]:
        """Draw a position for each image.

        Shapes:
            result `count 2` (vertical, horizontal): from 0 (top, left) to 1 (bottom, right); if normal, from -1 to 1
            relative to the current position.
        """
        if self.distribution == "normal":
            return draw_normal(2 * count, 1.0, generator).view(count, 2)
        return draw_places(count, generator)

    def apply(self, images: Shaped[Tensor, "b c h w"], draws: Float[Tensor, "b 2"]) -> Shaped[Tensor, "b c h w"]:
        """Move the content of each image to its own position.

        Shapes:
            images `b c h w`, draws `b 2`, result as images.
        """
        return nudge_images(images, draws) if self.distribution == "normal" else place_images(images, draws)


def draw_places(count: int, generator: torch.Generator) -> Float[Tensor, "m 2"]:
    """Draw a position for each image, from 0 (top, left) to 1 (bottom, right), on the generator's device.

    Shapes:
        result `count 2`.
    """
    return torch.rand(count, 2, generator=generator, device=generator.device)


def place_images(images: Shaped[Tensor, "b c h w"], places: Float[Tensor, "b 2"]) -> Shaped[Tensor, "b c h w"]:
    """Move the non-black pixels of each image to the image's own position in its frame.

    Shapes:
        images `b c h w`, places `b 2` (vertical, horizontal), from 0 to below 1, result as images.
    """
    before, after = _measure_room(images)
    return shift_images(images, (places * (before + after + 1)).floor().long() - before)


def nudge_images(images: Shaped[Tensor, "b c h w"], shares: Float[Tensor, "b 2"]) -> Shaped[Tensor, "b c h w"]:
    """Move the non-black pixels of each image by the image's own shares of the room on each side of them.

    A share a >= 0 shifts by floor(a (room + 1)) pixels down or to the right. A negative share shifts by floor(a room)
    up or to the left: at least by a pixel if there is room.

    Shapes:
        images `b c h w`, shares `b 2` (vertical, horizontal), above -1 and below 1, result as images.
    """
    before, after = _measure_room(images)
    return shift_images(images, (shares * torch.where(shares < 0, before, after + 1)).floor().long())


def _measure_room(images: Shaped[Tensor, "b c h w"]) -> tuple[Int[Tensor, "b 2"], Int[Tensor, "b 2"]]:
    """Number of black rows above and columns left of each image's content, and below and right; 0 if all is black."""
    filled = [images.amax(dim=(1, axis)) > 0 for axis in (3, 2)]
    before = torch.stack([marks.int().argmax(dim=1) for marks in filled], dim=1)
    after = torch.stack([marks.flip(1).int().argmax(dim=1) for marks in filled], dim=1)
    return before, after

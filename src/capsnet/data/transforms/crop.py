"""Crop: a square is cut out of each image, at a random position.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 7: 24x24 patches of CIFAR-10, 32x32
patches of smallNORB shrunk to 48x48.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from capsnet.bounds import whole
from capsnet.data.frame import check_side
from capsnet.data.transforms.transform import Shape


@dataclass(frozen=True)
class Crop:
    """Cut a square out of each image, at a uniformly random position. Only this transform makes images smaller.

    Args:
        side: side of the square in pixels.

    Raises:
        UserError: a side below 1; from `draw`, images smaller than the square.
    """

    side: int

    def __post_init__(self) -> None:
        whole(1, 4096).check("side", self.side)

    def draw(self, count: int, generator: torch.Generator, shape: Shape) -> Int[Tensor, "m 2"]:
        """Draw the upper left corner of each image's patch.

        Shapes:
            result `count 2` (row, column).
        """
        _, height, width = shape
        check_side(height, width, self.side)
        return draw_crops(count, (height - self.side, width - self.side), generator)

    def apply(self, images: Shaped[Tensor, "b c h w"], draws: Int[Tensor, "b 2"]) -> Shaped[Tensor, "b c s s"]:
        """Cut a square out of each image, at its own position.

        Shapes:
            images `b c h w`, draws `b 2`, result `b c side side`.
        """
        return crop_images(images, draws, self.side)


def draw_crops(count: int, room: tuple[int, int], generator: torch.Generator) -> Int[Tensor, "m 2"]:
    """Draw the upper left corner of each image's patch uniformly, on the generator's device.

    Args:
        count: number of images.
        room: the last row and the last column where a patch may begin: the image's size less the patch's.
        generator: random generator.

    Shapes:
        result `count 2` (row, column).
    """
    rows, columns = (torch.randint(last + 1, (count,), generator=generator, device=generator.device) for last in room)
    return torch.stack([rows, columns], dim=1)


def crop_images(images: Shaped[Tensor, "b c h w"], corners: Int[Tensor, "b 2"], side: int) -> Shaped[Tensor, "b c s s"]:
    """Cut a square out of each image, at its own position.

    Args:
        images: a batch of images.
        corners: row and column of each patch's upper left pixel.
        side: side of the patches.

    Shapes:
        images `b c h w`, corners `b 2`, result `b c side side`, of the same type.

    Raises:
        UserError: images smaller than the patches.
    """
    check_side(images.shape[2], images.shape[3], side)
    steps = torch.arange(side, device=images.device)
    samples = torch.arange(len(images), device=images.device)[:, None, None]
    rows, columns = corners[:, :1] + steps, corners[:, 1:] + steps  # b s
    return images[samples, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

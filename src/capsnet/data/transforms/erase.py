"""Erase: a square of each image becomes black, at a random position.

Mazzia, Salvetti, Chiaberge, "Efficient-CapsNet", Scientific Reports 2021, the authors' code for MNIST, which is that of
Byerly, Kalganova, Dear, "No routing needed between capsules", 2020.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from capsnet.bounds import whole
from capsnet.data.transforms.crop import draw_crops
from capsnet.data.transforms.transform import Shape
from capsnet.errors import UserError


@dataclass(frozen=True)
class Erase:
    """Make a square black in each image, at a uniformly random position.

    Args:
        side: side of the square in pixels.
        corners: the first and the last row and column of the square's upper left pixel; None: all positions inside the
            image. Efficient-CapsNet's authors use 4 and 22 for a square of 4 in 28x28 pixels.

    Raises:
        UserError: a value out of range; from `draw`, a square that does not fit into the images.
    """

    side: int
    corners: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        whole(0, 4096).check("side", self.side)
        if self.corners is not None:
            whole(0, 4096).check("corners", self.corners)
            if len(self.corners) != 2 or self.corners[0] > self.corners[1]:
                raise UserError(f"corners must be the first and the last one, FIRST not above LAST, got {self.corners}")

    def draw(self, count: int, generator: torch.Generator, shape: Shape) -> Int[Tensor, "m 2"]:
        """Draw the upper left corner of each image's square.

        Shapes:
            result `count 2` (row, column).
        """
        _, height, width = shape
        first, last = self.corners or (0, 0)
        if last + self.side > min(height, width):
            raise UserError(f"a square of {self.side} at {last} does not fit into images of {height}x{width}")
        if self.corners is None:
            return draw_crops(count, (height - self.side, width - self.side), generator)
        return first + draw_crops(count, (last - first, last - first), generator)

    def apply(self, images: Shaped[Tensor, "b c h w"], draws: Int[Tensor, "b 2"]) -> Shaped[Tensor, "b c h w"]:
        """Make a square black in each image, at its own position.

        Shapes:
            images `b c h w`, draws `b 2`, result as images.
        """
        return erase_squares(images, draws, self.side)


def erase_squares(
    images: Shaped[Tensor, "b c h w"], corners: Int[Tensor, "b 2"], side: int
) -> Shaped[Tensor, "b c h w"]:
    """Make a square black in each image, at its own position.

    Args:
        images: a batch of images.
        corners: row and column of each square's upper left pixel.
        side: side of the squares.

    Shapes:
        images `b c h w`, corners `b 2`, result as images.
    """
    height, width = images.shape[2:]
    rows, columns = (_inside(size, corners[:, k, None], side) for k, size in enumerate((height, width)))
    return images * ~(rows[:, None, :, None] & columns[:, None, None, :])


def _inside(size: int, first: Int[Tensor, "b 1"], side: int) -> Bool[Tensor, "b s"]:
    steps = torch.arange(size, device=first.device)
    return (steps >= first) & (steps < first + side)

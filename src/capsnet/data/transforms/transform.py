"""The interface of a transform: it draws the random numbers of an epoch, then applies them to each batch."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from capsnet.errors import UserError

Draws = Mapping[str, Tensor]
"""Random numbers by name, one row for each image."""
Shape = tuple[int, int, int]
"""Channels, height and width of an image."""


@runtime_checkable
class Transform(Protocol):
    """A random transform of training images: any object with the methods `draw` and `apply`.

    `draw` draws all random numbers before an epoch begins, and `apply` is deterministic, so that a resumed run
    transforms each image exactly as the interrupted run would have.

    Example:
        A transform of your own that darkens each image by up to half:

        >>> from dataclasses import dataclass
        >>> from capsnet.data.inputs import Inputs
        >>> from capsnet.data.transforms import Augmentation, Shift
        >>> @dataclass(frozen=True)
        ... class Darken:
        ...     most: float
        ...
        ...     def draw(self, count, generator, shape):
        ...         return 1 - self.most * torch.rand(count, generator=generator, device=generator.device)
        ...
        ...     def apply(self, images, draws):
        ...         return (images * draws[:, None, None, None]).to(images.dtype)
        >>> isinstance(Darken(0.5), Transform)
        True
        >>> augmentation, inputs = Augmentation((Shift(2), Darken(0.5))), Inputs((1, 28, 28))
        >>> white = torch.full((3, 1, 28, 28), 255, dtype=torch.uint8)
        >>> draws = augmentation.draw(3, inputs, torch.Generator().manual_seed(0))
        >>> augmentation.vary(white, draws, inputs).amax(dim=(1, 2, 3)).tolist()
        [192.0, 140.0, 196.0]
    """

    def draw(self, count: int, generator: torch.Generator, shape: Shape) -> Tensor:
        """Draw the random numbers of `count` images, on the generator's device.

        Args:
            count: number of images.
            generator: the only source of randomness.
            shape: channels, height and width of the images passed to `apply`.

        Shapes:
            result `count ...`: one row for each image.
        """

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Transform each image by its own random numbers, without drawing any.

        Args:
            images: bytes, or floats from 0 to 255; the result has the same type.
            draws: the rows of `draw`'s result that belong to these images.

        Shapes:
            images `b c h w`, draws `b ...`, result as images.
        """


def check_square(name: str, shape: Shape) -> None:
    """Refuse images that are not square.

    Raises:
        UserError: height and width differ.
    """
    _, height, width = shape
    if height != width:
        raise UserError(f"{name} is for square images, got {height}x{width}")

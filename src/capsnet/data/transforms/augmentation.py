"""Augmentation of training images: lists of transforms, applied at three points between stored pixels and model input.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 5 and 7, and the released code.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from capsnet.data.inputs import Inputs
from capsnet.data.transforms.crop import Crop
from capsnet.data.transforms.transform import Draws, Shape, Transform
from capsnet.errors import UserError


@dataclass(frozen=True)
class Augmentation:
    """Transforms of training images. Each list is applied in order; `Inputs` defines scaling and cropping.

        stored image -> stored -> (scaled to its final size) -> scaled -> (random crop) -> cropped

    Random numbers are drawn in the order stored, crop, cropped, scaled.

    Args:
        stored: transforms of the data set's images, uint8.
        cropped: transforms of the model's input, the random crop or the whole image, floats; 255 is white.
        scaled: transforms of whole images after scaling, before the random crop, floats; 255 is white.

    Raises:
        UserError: an item of a list without `draw` or `apply`.

    Example:
        >>> Augmentation((Shift(2), Rotate(15, chance=0.5)), cropped=(Flip(), Brightness(63), Contrast(0.8)))
    """

    stored: tuple[Transform, ...] = ()
    cropped: tuple[Transform, ...] = ()
    scaled: tuple[Transform, ...] = ()

    def __post_init__(self) -> None:
        for item in fields(self):
            transforms = getattr(self, item.name)
            for transform in transforms if isinstance(transforms, tuple) else (None,):
                # refuse classes: `Shift` has these methods too, but only an object such as `Shift(2)` is a transform
                if isinstance(transform, type) or not isinstance(transform, Transform):
                    expected = "a tuple of objects with draw and apply, such as (Shift(2),)"
                    raise UserError(f"{item.name} must be {expected}, got {transforms!r}")

    def draw(self, count: int, inputs: Inputs, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw the random numbers of `count` images, on the generator's device.

        Shapes:
            result `count ...` each.

        Raises:
            UserError: images that a transform does not support, or a transform that does not draw a row for each image.
        """
        draws = {}
        for name, transform, shape in self._in_order(inputs):
            draws[name] = transform.draw(count, generator, shape)
            if draws[name].shape[:1] != (count,):
                got = tuple(draws[name].shape)
                raise UserError(f"draw of {transform} must return a row for each of {count} images, got {got}")
        return draws

    def vary(self, images: UInt8[Tensor, "b c h w"], draws: Draws, inputs: Inputs) -> Float[Tensor, "b c y x"]:
        """Augment, scale and crop images by the drawn numbers; 0 is black and 255 white.

        Changes of brightness and contrast are not clipped, so values may be below 0 or above 255.

        Shapes:
            images `b` + `inputs.image_shape`, draws `b ...` each, result `b` + `inputs.shape`.
        """
        pixels = inputs.scale(_apply("stored", self.stored, images, draws))
        pixels = _apply("scaled", self.scaled, pixels, draws)
        if inputs.crop:
            pixels = Crop(inputs.crop).apply(pixels, draws["crop"])
        return _apply("cropped", self.cropped, pixels, draws)

    def _in_order(self, inputs: Inputs) -> Iterator[tuple[str, Transform, Shape]]:
        """Name, transform and image shape of each transform, in the order in which random numbers are drawn."""
        yield from _named("stored", self.stored, inputs.image_shape)
        if inputs.crop:
            yield "crop", Crop(inputs.crop), inputs.scaled_shape
        yield from _named("cropped", self.cropped, inputs.shape)
        yield from _named("scaled", self.scaled, inputs.scaled_shape)


def _named(part: str, transforms: tuple[Transform, ...], shape: Shape) -> Iterator[tuple[str, Transform, Shape]]:
    for position, transform in enumerate(transforms):
        yield f"{part}.{position}", transform, shape


def _apply(part: str, transforms: tuple[Transform, ...], images: Tensor, draws: Draws) -> Tensor:
    for position, transform in enumerate(transforms):
        images = transform.apply(images, draws[f"{part}.{position}"])
    return images

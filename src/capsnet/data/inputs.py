"""From stored pixels to what a model sees: the same at every use, and varied by training.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 5 and 7, and the released code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from capsnet.data.affine import rotate_images
from capsnet.data.augment import draw_shifts, shift_images
from capsnet.data.color import adjust_brightness, adjust_contrast, draw_uniform, standardize_images
from capsnet.data.distort import draw_places, draw_squeezes, erase_squares, place_images, squeeze_images
from capsnet.data.frame import (
    center_crop,
    crop_images,
    draw_crops,
    draw_flips,
    enlarge_images,
    flip_images,
    shrink_images,
)
from capsnet.data.pixels import check_range
from capsnet.errors import UserError

Draws = Mapping[str, Tensor]
"""Random numbers of a batch by name, one row for each image."""


@dataclass(frozen=True)
class Inputs:
    """How an image becomes an input. It is stored with a model's weights.

    Args:
        image_shape: channels, height and width of an image as the data set holds it.
        shrink: side to which images are scaled down first; 0: they keep their size.
        crop: side of the patch that the model sees, the middle one outside of training; 0: the whole image.
        standardize: give each input zero mean and unit variance, in place of pixels in [0, 1].
        enlarge: side to which images are scaled up first; 0: they keep their size.
        pixel_range: values of an image file that become 0 and 255, for files of more than 8 bits; None:
            files of 8 bits.

    Raises:
        UserError: a side that does not fit into the image, or a range that is not two finite numbers in order.
    """

    image_shape: tuple[int, int, int]
    shrink: int = 0
    crop: int = 0
    standardize: bool = False
    enlarge: int = 0
    pixel_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.pixel_range is not None:
            check_range(self.pixel_range)
        _, height, width = self.image_shape
        for name in ("shrink", "enlarge"):
            if getattr(self, name) and height != width:
                raise UserError(f"{name} is for square images, these are {height}x{width}")
        if self.enlarge and (self.shrink or self.enlarge < height):
            raise UserError(f"enlarge must be at least {height} here, and without `shrink`, got {self.enlarge}")
        room = self.enlarge or min(self.image_shape[1:])
        for name in ("shrink", "crop"):
            side = getattr(self, name)
            if not 0 <= side <= room:
                raise UserError(f"{name} must be 0 to {room} for these images, got {side}")
            room = side or room

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "Inputs":
        """Read what `dataclasses.asdict` gives, also from JSON."""
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, Sequence)}
        return cls(**{**values, **lists})  # type: ignore[arg-type]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what the model sees."""
        channels, height, width = self.image_shape
        side = self.crop or self.shrink or self.enlarge
        return (channels, side, side) if side else (channels, height, width)

    def scale(self, images: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c y x"]:
        """Whole images in their final scale, from 0 to 255."""
        if self.enlarge:
            return enlarge_images(images, self.enlarge)
        return shrink_images(images, self.shrink) if self.shrink else images.float()

    def view(self, images: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c y x"]:
        """The part of each image that the model sees, from 0 to 255.

        Shapes:
            images `b` + `image_shape`, result `b` + `shape`.
        """
        pixels = self.scale(images)
        return center_crop(pixels, self.crop) if self.crop else pixels

    def normalize(self, pixels: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """Bring pixels from 0 to 255 into the units of the model."""
        return standardize_images(pixels) if self.standardize else pixels / 255

    def __call__(self, images: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c y x"]:
        """What the model sees of images.

        Shapes:
            images `b` + `image_shape`, result `b` + `shape`.
        """
        return self.normalize(self.view(images))


@dataclass(frozen=True)
class Augmentation:
    """How training varies an image: moved, turned, scaled down, a patch cut out, mirrored, brightness, contrast.

    Args:
        shift: moves by up to so many pixels in both directions.
        rotation: turns by up to so many degrees to both sides.
        flip: mirrors each image with chance one half, left for right.
        brightness: adds up to so much to all pixels, or takes it away; white is 255.
        contrast: scales contrast by 1 - contrast to 1 + contrast.
        color_first: changes brightness and contrast of the whole image, before the patch is cut out of it (the
            authors' code for smallNORB), not of the patch (theirs for CIFAR-10).
        rotation_chance: share of the images that are turned.
        place: moves what is not black of an image to any place in the frame.
        squeeze: makes each image narrower by up to so many pixels.
        erase: side of a square that is made black at a random place.
    """

    shift: int = 0
    rotation: float = 0.0
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    color_first: bool = False
    rotation_chance: float = 1.0
    place: bool = False
    squeeze: int = 0
    erase: int = 0

    def draw(self, count: int, inputs: Inputs, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw the random numbers of so many images, on the generator's device: those that are needed."""
        draws: dict[str, Tensor] = {}
        if self.shift:
            draws["shift"] = draw_shifts(count, self.shift, generator)
        if self.rotation:
            draws["angle"] = draw_uniform(count, -self.rotation, self.rotation, generator)
            if self.rotation_chance < 1:
                draws["angle"] *= draw_uniform(count, 0.0, 1.0, generator) < self.rotation_chance
        if self.squeeze:
            draws["squeeze"] = draw_squeezes(count, self.squeeze, generator)
        if self.place:
            draws["place"] = draw_places(count, generator)
        if self.erase:
            room = [inputs.image_shape[1] - self.erase, inputs.image_shape[2] - self.erase]
            draws["erase"] = draw_crops(count, (room[0], room[1]), generator)
        if inputs.crop:
            height, width = (inputs.shrink or inputs.enlarge or size for size in inputs.image_shape[1:])
            draws["corner"] = draw_crops(count, (height - inputs.crop, width - inputs.crop), generator)
        if self.flip:
            draws["flip"] = draw_flips(count, generator)
        if self.brightness:
            draws["brightness"] = draw_uniform(count, -self.brightness, self.brightness, generator)
        if self.contrast:
            draws["contrast"] = draw_uniform(count, 1 - self.contrast, 1 + self.contrast, generator)
        return draws

    def vary(self, images: UInt8[Tensor, "b c h w"], draws: Draws, inputs: Inputs) -> Float[Tensor, "b c y x"]:
        """The part of each image that the model shall see, varied by the image's own numbers, from 0 to 255.

        Shapes:
            images `b` + `inputs.image_shape`, draws `b` or `b 2` each, result `b` + `inputs.shape`.
        """
        if "shift" in draws:
            images = shift_images(images, draws["shift"])
        if "angle" in draws:
            images = rotate_images(images, draws["angle"])
        if "squeeze" in draws:
            images = squeeze_images(images, draws["squeeze"])
        if "place" in draws:
            images = place_images(images, draws["place"])
        if "erase" in draws:
            images = erase_squares(images, draws["erase"], self.erase)
        pixels = inputs.scale(images)
        if self.color_first:
            pixels = _color(pixels, draws)
        if "corner" in draws:
            pixels = crop_images(pixels, draws["corner"], inputs.crop)
        if "flip" in draws:
            pixels = flip_images(pixels, draws["flip"])
        return pixels if self.color_first else _color(pixels, draws)


def _color(pixels: Tensor, draws: Draws) -> Tensor:
    if "brightness" in draws:
        pixels = adjust_brightness(pixels, draws["brightness"])
    return adjust_contrast(pixels, draws["contrast"]) if "contrast" in draws else pixels

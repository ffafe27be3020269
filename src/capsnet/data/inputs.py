"""Deterministic preparation of stored pixels as model inputs; `data.transforms` augments training images.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 5 and 7, and the released code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float, UInt8
from torch import Tensor

from capsnet.data.frame import center_crop, enlarge_images, shrink_images
from capsnet.data.pixels import check_range
from capsnet.data.standardize import standardize_images
from capsnet.errors import UserError


@dataclass(frozen=True)
class Inputs:
    """How an image becomes a model input. Stored with the model's weights.

    Args:
        image_shape: channels, height and width of an image in the data set.
        shrink: side to which images are scaled down first; 0: no scaling down.
        crop: side of the input patch, the centre crop outside of training; 0: the whole image.
        standardize: normalise each input to zero mean and unit variance instead of [0, 1].
        enlarge: side to which images are scaled up first; 0: no scaling up.
        pixel_range: values of an image file that become 0 and 255, for files of more than 8 bits; None:
            files of 8 bits.

    Raises:
        UserError: a side that does not fit the image, or a range that is not two finite numbers in order.
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
        """Build from the result of `dataclasses.asdict`, directly or read from JSON."""
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, Sequence)}
        return cls(**{**values, **lists})  # type: ignore[arg-type] # files are read by runs/typed.py, which checks types

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the model's input."""
        return (self.image_shape[0], self.crop, self.crop) if self.crop else self.scaled_shape

    @property
    def scaled_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of whole images after scaling."""
        channels, height, width = self.image_shape
        side = self.shrink or self.enlarge
        return (channels, side, side) if side else (channels, height, width)

    def scale(self, images: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c y x"]:
        """Scale whole images; the result has values from 0 to 255."""
        if self.enlarge:
            return enlarge_images(images, self.enlarge)
        return shrink_images(images, self.shrink) if self.shrink else images.float()

    def view(self, images: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c y x"]:
        """Scale and crop images; the result has values from 0 to 255.

        Shapes:
            images `b` + `image_shape`, result `b` + `shape`.
        """
        pixels = self.scale(images)
        return center_crop(pixels, self.crop) if self.crop else pixels

    def normalize(self, pixels: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """Convert pixels from 0 to 255 to the model's units: [0, 1], or standardised."""
        return standardize_images(pixels) if self.standardize else pixels / 255

    def __call__(self, images: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c y x"]:
        """Convert stored images to model inputs: scale, crop and normalise.

        Shapes:
            images `b` + `image_shape`, result `b` + `shape`.
        """
        return self.normalize(self.view(images))

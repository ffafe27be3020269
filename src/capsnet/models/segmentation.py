"""The base class of models that find a mask for each class, and these models by name."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor, nn

from capsnet.errors import UserError
from capsnet.functional.labels import check_tensor
from capsnet.models.arguments import check_arguments, check_images_fit
from capsnet.models.named import SEGMENTER_KEY, NamedModel, NamedPreset, create_named, load_named, save_named
from capsnet.registry import Registry


class SegmentationOutput(NamedTuple):
    """The output for a batch of images or volumes.

    Shapes:
        lengths `b n *space`, in [0, 1]: is the class there; poses `b n d *space`, None if the model has no capsules.
    """

    lengths: Float[Tensor, "b n *space"]
    poses: Float[Tensor, "b n d *space"] | None


class SegmentationModel(NamedModel, ABC):
    """Base class of models that find a mask for each class: `model(images)` returns a `SegmentationOutput`.

    They are no `CapsuleModel`s: their classes have no single capsule, so that commands for classification refuse them.

    Args:
        image_shape: channels, height and width; of volumes also depth.
        num_classes: number of masks; they may overlap.

    Attributes:
        class_names: a name for each class; "1", "2" and so on, the numbers in masks, until they are set.
        decoder: reconstructs images from class capsules, or None.
        pixel_range: values of image files of more than 8 bits that become black and white; None: of each file its own.
        created_by: the call of `create_segmenter`; None if the model was created directly.

    Raises:
        UserError: an image shape that is not three or four numbers, or sizes out of range.
    """

    decoder: nn.Module | None

    def __init__(self, image_shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        check_arguments(image_shape=tuple(image_shape), num_classes=num_classes)
        if len(image_shape) not in (3, 4) or min(image_shape) < 1:
            raise UserError(f"image_shape must be channels, height, width and perhaps depth, got {tuple(image_shape)}")
        self.image_shape, self.num_classes = tuple(image_shape), num_classes
        self.class_names = tuple(str(k + 1) for k in range(num_classes))
        self.decoder = None
        self.pixel_range: tuple[float, float] | None = None

    if TYPE_CHECKING:
        # nn.Module.__call__ is untyped
        def __call__(self, images: Float[Tensor, "b c *space"]) -> SegmentationOutput: ...

    @abstractmethod
    def forward(self, images: Float[Tensor, "b c *space"]) -> SegmentationOutput:
        """Find where each class is."""

    @property
    def dims(self) -> int:
        """2 for images, 3 for volumes."""
        return len(self.image_shape) - 1

    def check_images(self, images: Float[Tensor, "b c *space"]) -> None:
        """Check the shape, dtype and device of images.

        Raises:
            UserError: they do not fit the model.
        """
        check_tensor(images, "images")
        if not images.is_floating_point():
            raise UserError(f"images must be floats in [0, 1], got {images.dtype}; use images / 255")
        check_images_fit(images, self)
        if images.shape[1:] != self.image_shape or not len(images):
            raise UserError(f"images must be b x {self.image_shape}, got {tuple(images.shape)}")

    def segment(self, images: Float[Tensor, "b c *space"], threshold: float = 0.5) -> Bool[Tensor, "b n *space"]:
        """The mask of each class: where its length is above `threshold`."""
        return self(images).lengths > threshold

    def save(self, file: str | Path) -> None:
        """Write weights, name, options and class names to a safetensors file, for `load_segmenter`.

        Raises:
            UserError: the model was not made by `create_segmenter`.
        """
        save_named(
            self,
            file,
            SEGMENTER_KEY,
            "create_segmenter",
            {"class_names": self.class_names, "pixel_range": self.pixel_range},
        )


SegmenterPreset = NamedPreset[SegmentationModel]

SEGMENTERS: Registry[SegmenterPreset] = Registry("segmenter", "capsnet.segmenters")
"""Segmentation models by name."""


def create_segmenter(name: str, **overrides: object) -> SegmentationModel:
    """Create a segmentation model with fresh weights.

    Args:
        name: one of `SEGMENTERS`.
        overrides: arguments of the model's class, over those of the preset.

    Raises:
        UserError: an unknown name or argument, or sizes that do not fit together.

    Example:
        >>> model = create_segmenter("segcaps-small", image_shape=(1, 32, 32), num_classes=10)
    """
    return create_named(SEGMENTERS, name, overrides)


def load_segmenter(file: str | Path) -> SegmentationModel:
    """Load a model that `SegmentationModel.save` wrote, in eval mode. Nothing in the file is executed.

    Raises:
        UserError: no such file, or a file of another kind.
    """
    model, about = load_named(SEGMENTERS, file, SEGMENTER_KEY)
    # files of older versions name no classes
    names = about.get("class_names", list(model.class_names))
    if not isinstance(names, list) or len(names) != model.num_classes:
        raise UserError(f"{file} must name {model.num_classes} classes, got {names!r}")
    model.class_names = tuple(map(str, names))
    model.pixel_range = _read_range(about.get("pixel_range"), file)
    return model


def _read_range(values: object, file: str | Path) -> tuple[float, float] | None:
    if values is None:
        return None
    if isinstance(values, list) and len(values) == 2 and all(isinstance(value, int | float) for value in values):
        low, high = map(float, values)
        if -math.inf < low < high < math.inf:
            return low, high
    raise UserError(f"{file}: pixel_range must be two numbers in ascending order, got {values!r}")

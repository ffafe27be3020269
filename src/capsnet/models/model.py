"""What all models have in common: a shape of images, names of classes, a loss, and perhaps a decoder."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.functional.labels import check_tensor
from capsnet.models.arguments import check_arguments


class CapsuleModel(nn.Module):
    """Base of all models: `model(images)` gives a `CapsNetOutput`.

    Args:
        image_shape: channels, height and width.
        num_classes: number of class capsules.

    Attributes:
        input_shape: `image_shape`.
        class_names: a name for each class; numbers until training sets them.
        loss: what its paper trains it by: `"margin"`, `"spread"`, `"likelihood"` (`activation_nll_loss`) or
            `"length-cross-entropy"` of its `lengths`, or `"cross-entropy"` of logits, which are poses of one dimension.
        decoder: draws images from class capsules, or None.
        fixed_routing: the one routing of a model whose constructor takes none; None: the model takes one, or has none.

    Raises:
        UserError: an image shape that is not three numbers, or fewer than one class.
    """

    loss: str = "margin"
    fixed_routing: ClassVar[str | None] = None
    decoder: nn.Module | None

    def __init__(self, image_shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        check_arguments(image_shape=tuple(image_shape), num_classes=num_classes)
        if len(image_shape) != 3 or image_shape[0] < 1:
            raise UserError(f"image_shape must be channels, height and width, got {tuple(image_shape)}")
        channels, height, width = image_shape
        self.input_shape = (channels, height, width)
        self.class_names = tuple(str(k) for k in range(num_classes))
        self.decoder = None

    def check_images(self, images: Float[Tensor, "b c h w"]) -> None:
        """Refuse images of another shape or kind than the model's.

        Raises:
            UserError: the message says what was given, and the remedy.
        """
        check_tensor(images, "images")
        if not images.is_floating_point():
            raise UserError(
                f"images must be numbers in [0, 1], got {images.dtype}; of stored pixels from 0 to 255 give "
                "images / 255, or model.inputs(images) for a trained model"
            )
        weight = next(self.parameters(), None)
        mixed = torch.is_autocast_enabled(images.device.type)
        if weight is not None and images.dtype != weight.dtype and not mixed:
            raise UserError(
                f"images must be {weight.dtype} as the model's weights are, got {images.dtype}; convert them with "
                f"images.to({weight.dtype})"
            )
        if images.ndim != 4:
            raise UserError(
                f"images must have four axes, b x {self.input_shape}, got {tuple(images.shape)}; a single image is "
                "image[None], and one without an axis for channels image[None, None]"
            )
        if images.shape[0] == 0:
            raise UserError(f"images must be at least one, got a batch of {tuple(images.shape)}")
        if images.shape[1:] != self.input_shape:
            raise UserError(
                f"images must be b x {self.input_shape}, got {tuple(images.shape)}; resize them or create the model "
                f"with image_shape={tuple(images.shape[1:])}"
            )

    def reconstruct(self, capsules: Capsules, labels: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b c h w"]:
        """Draw the image that a class capsule describes.

        Args:
            capsules: class capsules, as in the model's output.
            labels: the capsule to decode of each sample; None: the longest.

        Raises:
            UserError: the model was created without a decoder, or labels of another shape or that are no class.
        """
        if self.decoder is None:
            raise UserError("this model has no decoder; create it with decoder=True")
        chosen = capsules.activations.argmax(dim=1) if labels is None else labels
        image: Tensor = self.decoder(capsules.poses, chosen)
        return image


def conv_grid(grid: tuple[int, int], layers: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Rows and columns after windows that are not padded, one after another.

    Args:
        grid: rows and columns of the image.
        layers: side and step of each window.

    Raises:
        UserError: an image too small for them; the smallest that is not is in the message.
    """
    smallest = 1
    for side, step in reversed(layers):
        smallest = (smallest - 1) * step + side
    if min(grid) < smallest:
        raise UserError(
            f"images must be at least {smallest}x{smallest} for this model's layers, got {grid[0]}x{grid[1]}; use "
            "larger images"
        )
    rows, columns = grid
    for side, step in layers:
        rows, columns = (rows - side) // step + 1, (columns - side) // step + 1
    return rows, columns


def truncated_normal(weight: Tensor, std: float) -> None:
    """Fill with a normal cut at two standard deviations."""
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)

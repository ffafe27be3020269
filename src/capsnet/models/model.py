"""What all models have in common: a shape of images, names of classes, a loss, and perhaps a decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.data.dataset import Preparation
from capsnet.data.inputs import Inputs
from capsnet.data.pairs import Pairing
from capsnet.errors import UserError
from capsnet.functional.labels import check_tensor
from capsnet.layers import DenseCapsules
from capsnet.models.arguments import check_arguments
from capsnet.models.grid import Grid
from capsnet.models.hub import HubMethods
from capsnet.prediction import Doubt


@dataclass(frozen=True)
class Creation:
    """The call of `create_model` that made a model.

    Args:
        name: of the model.
        options: the overrides, without `device` and `dtype`.
    """

    name: str
    options: Mapping[str, object]


class CapsuleModel(HubMethods, nn.Module):
    """Base of all models: `model(images)` gives a `CapsNetOutput`.

    What training and weights files add has defaults here, so that nobody has to ask whether a model has it.

    Args:
        image_shape: channels, height and width.
        num_classes: number of class capsules.
        pose_dim: dimension of a class capsule; None: it is found by a forward pass when it is first asked for.

    Attributes:
        input_shape: `image_shape`.
        class_names: a name for each class; numbers until training sets them.
        loss: what its paper trains it by, a name in `capsnet.losses.LOSSES`: `"margin"`, `"spread"`, `"likelihood"` or
            `"length-cross-entropy"` of its `lengths`, or `"cross-entropy"` of logits, which are poses of one dimension.
        inputs: how a stored image becomes an input; whole, with pixels in [0, 1], until training sets it.
        pairing: how an input is made of two images, of a model that was trained on pairs; None: an input is an image.
        preparation: how a person's own image file becomes an image of its data set: `"digit"` or `"fit"`.
        data: the data set that it was trained on; empty: not recorded.
        doubt: when an answer is unsure; None: this was not measured.
        created_by: the call of `create_model`; None of a model that its class or the user made.
        decoder: draws images from class capsules, or None.
        grid: where its primary capsules look; None: they are not laid out over the image.
        fixed_routing: the one routing of a model whose constructor takes none; None: the model takes one, or has none.

    Raises:
        UserError: an image shape that is not three numbers, or fewer than one class.
    """

    loss: str = "margin"
    fixed_routing: ClassVar[str | None] = None
    decoder: nn.Module | None
    grid: Grid | None = None

    def __init__(self, image_shape: Sequence[int], num_classes: int, *, pose_dim: int | None = None) -> None:
        super().__init__()
        check_arguments(image_shape=tuple(image_shape), num_classes=num_classes)
        if len(image_shape) != 3 or image_shape[0] < 1:
            raise UserError(f"image_shape must be channels, height and width, got {tuple(image_shape)}")
        channels, height, width = image_shape
        self.input_shape = (channels, height, width)
        self.class_names = tuple(str(k) for k in range(num_classes))
        self.inputs = Inputs(self.input_shape)
        self.pairing: Pairing | None = None
        self.preparation: Preparation = "fit"
        self.data = ""
        self.doubt: Doubt | None = None
        self.created_by: Creation | None = None
        self.decoder = None
        self._pose_dim = pose_dim

    if TYPE_CHECKING:
        # nn.Module says of its call neither what it takes nor what it gives
        def __call__(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput: ...

    @property
    def has_decoder(self) -> bool:
        """Whether `reconstruct` draws images."""
        return self.decoder is not None

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    @property
    def pose_dim(self) -> int:
        """Dimension of a class capsule."""
        if self._pose_dim is None:
            was_training = self.training
            image = torch.zeros(1, *self.input_shape, device=self.device)
            with torch.no_grad():
                self._pose_dim = self.eval()(image).capsules.poses.shape[2]
            self.train(was_training)
        return self._pose_dim

    @property
    def dense_layers(self) -> list[DenseCapsules]:
        """The layers in which every child votes for every parent, from the image upwards."""
        return [layer for layer in self.modules() if isinstance(layer, DenseCapsules)]

    @property
    def class_layer(self) -> DenseCapsules | None:
        """The layer in which every child votes for every class; None where the model has none."""
        layers = self.dense_layers
        return layers[-1] if layers else None

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

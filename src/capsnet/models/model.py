"""The base class of models: image shape, class names, loss, and an optional decoder."""

from collections.abc import Sequence
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
from capsnet.models.arguments import check_arguments, check_images_fit
from capsnet.models.eval_mode import eval_mode
from capsnet.models.grid import Grid
from capsnet.models.hub import HubMethods
from capsnet.models.named import Creation
from capsnet.prediction import Doubt


class CapsuleModel(HubMethods, nn.Module):
    """Base class of all models: `model(images)` returns a `CapsNetOutput`.

    Attributes set by training and by weights files have defaults here, so that every model has them.

    Args:
        image_shape: channels, height and width.
        num_classes: number of class capsules.
        pose_dim: dimension of a class capsule; None: determined by a forward pass on first use.

    Attributes:
        input_shape: `image_shape`.
        class_names: a name for each class; class indices until training sets them.
        loss: the paper's training loss, a name in `capsnet.losses.LOSSES`: `"margin"`, `"spread"`, `"likelihood"` or
            `"length-cross-entropy"` of its `lengths`, or `"cross-entropy"` of logits, which are poses of one dimension.
        inputs: preprocessing of stored images; until training sets it, the whole image with pixels in [0, 1].
        pairing: how two images are combined into an input, for models trained on pairs; None: single images.
        preparation: how a user's image file is converted to the format of its data set: `"digit"` or `"fit"`.
        data: name of its training data set; empty: not recorded.
        doubt: thresholds for uncertain predictions; None: not measured.
        created_by: the call of `create_model`; None if the model was created directly.
        decoder: reconstructs images from class capsules, or None.
        grid: positions of its primary capsules over the image; None: they have no spatial layout.
        fixed_routing: the routing of a model that supports only one; None: it is an argument, or there is none.
        all_trained: whether every trainable parameter gets a gradient in each step; False if this is unknown.

    Raises:
        UserError: an image shape that is not three numbers, or fewer than one class.
    """

    loss: str = "margin"
    fixed_routing: ClassVar[str | None] = None
    all_trained: ClassVar[bool] = True
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
        # nn.Module.__call__ is untyped
        def __call__(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput: ...

    @property
    def has_decoder(self) -> bool:
        """Whether the model can reconstruct images."""
        return self.decoder is not None

    @property
    def device(self) -> torch.device:
        """The device of its weights."""
        return next(self.parameters()).device

    @property
    def pose_dim(self) -> int:
        """Dimension of a class capsule."""
        if self._pose_dim is None:
            weight = next(self.parameters())
            image = torch.zeros(1, *self.input_shape, device=weight.device, dtype=weight.dtype)
            with torch.no_grad(), eval_mode(self):
                self._pose_dim = self(image).capsules.poses.shape[2]
        return self._pose_dim

    @property
    def dense_layers(self) -> list[DenseCapsules]:
        """The layers in which every child votes for every parent, from the image upwards."""
        return [layer for layer in self.modules() if isinstance(layer, DenseCapsules)]

    @property
    def class_layer(self) -> DenseCapsules | None:
        """The layer in which every child votes for every class; None if the model has none."""
        layers = self.dense_layers
        return layers[-1] if layers else None

    @property
    def fixed_part(self) -> nn.Module | None:
        """The part that computes `features`, if training never changes it: those of an image are computed once."""
        return None

    @property
    def backbone_parameters(self) -> list[nn.Parameter]:
        """Parameters of a backbone that is tuned, which may learn at a rate of their own; empty for most models."""
        return []

    def features(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b ..."]:
        """The output of the model's first part, which `classify` takes; for most models, the images themselves."""
        return images

    def classify(self, features: Float[Tensor, "b ..."]) -> CapsNetOutput:
        """The model's output from `features`: `model(images)` is `model.classify(model.features(images))`."""
        return self(features)

    def check_images(self, images: Float[Tensor, "b c h w"]) -> None:
        """Check the shape, dtype and device of images.

        Raises:
            UserError: they do not fit the model.
        """
        check_tensor(images, "images")
        if not images.is_floating_point():
            raise UserError(
                f"images must be floats in [0, 1], got {images.dtype}; for stored pixels from 0 to 255 use "
                "images / 255, or model.inputs(images) for a trained model"
            )
        check_images_fit(images, self)
        if images.ndim != 4:
            raise UserError(
                f"images must have four axes, b x {self.input_shape}, got {tuple(images.shape)}; for a single image "
                "use image[None], without a channel axis image[None, None]"
            )
        if images.shape[0] == 0:
            raise UserError(f"images must not be empty, got {tuple(images.shape)}")
        if images.shape[1:] != self.input_shape:
            raise UserError(
                f"images must be b x {self.input_shape}, got {tuple(images.shape)}; resize them or create the model "
                f"with image_shape={tuple(images.shape[1:])}"
            )

    def reconstruct(self, capsules: Capsules, labels: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b c h w"]:
        """Reconstruct images from class capsules.

        Args:
            capsules: class capsules, as in the model's output.
            labels: the capsule to decode of each sample; None: the longest.

        Raises:
            UserError: the model was created without a decoder, or invalid labels.
        """
        if self.decoder is None:
            raise UserError("this model has no decoder; create it with decoder=True")
        chosen = capsules.activations.argmax(dim=1) if labels is None else labels
        image: Tensor = self.decoder(capsules.poses, chosen)
        return image


def conv_grid(grid: tuple[int, int], layers: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Rows and columns after a sequence of unpadded convolutions.

    Args:
        grid: rows and columns of the image.
        layers: side and step of each window.

    Raises:
        UserError: the image is too small; the message gives the minimum size.
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

"""Inputs of a model's last capsule layer and outputs of the model, batch by batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules, RoutingOutput
from capsnet.data import ImageData
from capsnet.data.standardize import standardize_images
from capsnet.errors import UserError
from capsnet.inference.evaluate import predict_batches
from capsnet.layers import DenseCapsules
from capsnet.models import CapsuleModel
from capsnet.models.eval_mode import eval_mode


class Watched(NamedTuple):
    """One batch.

    Args:
        images: in [0, 1].
        labels: true classes.
        children: inputs of the last dense capsule layer; None if the model has none.
        output: the model's output.
    """

    images: Float[Tensor, "b c h w"]
    labels: Int[Tensor, " b"]
    children: Capsules | None
    output: CapsNetOutput


def find_class_layer(model: CapsuleModel) -> DenseCapsules:
    """The last layer in which every child votes for every class.

    Raises:
        UserError: the model has none.
    """
    layer = model.class_layer
    if layer is None:
        raise UserError("the model has no layer in which every capsule votes for every class")
    return layer


def watch(model: CapsuleModel, data: ImageData, *, batch_size: int = 32) -> Iterator[Watched]:
    """Run a model over images and capture the inputs of its last dense capsule layer; call under `torch.no_grad`."""
    captured: list[Capsules] = []

    def capture(_: nn.Module, arguments: tuple[Capsules | RoutingOutput, ...]) -> None:
        captured.append(Capsules(arguments[0].poses, arguments[0].activations))

    layer = model.class_layer
    hook = None if layer is None else layer.register_forward_pre_hook(capture)
    try:
        for images, labels, output in predict_batches(model, data, batch_size=batch_size):
            yield Watched(images, labels, captured[-1] if captured else None, output)
            captured.clear()
    finally:
        if hook is not None:
            hook.remove()


def has_activations(activations: Tensor) -> bool:
    """Whether capsules have activations of their own: those of a routing that computes none are all 1."""
    return not bool((activations == 1).all())


@torch.no_grad()
def find_lengths(
    model: CapsuleModel, images: Float[Tensor, "b c h w"], *, batch_size: int = 64
) -> Float[Tensor, "b n"]:
    """Lengths of the class capsules of images in [0, 1]; images are moved to the model's device."""
    return torch.cat([read(model, batch.to(model.device)).lengths.cpu() for batch in torch.split(images, batch_size)])


def view(model: CapsuleModel, data: ImageData) -> Float[Tensor, "m c h w"]:
    """The model's input pixels (cropped and scaled), in [0, 1]; attacks and changes apply to them."""
    return model.inputs.view(data.images) / 255


def read(model: CapsuleModel, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
    """The model's output for images as `view` returns them; differentiable."""
    return model(standardize_images(255 * images) if model.inputs.standardize else images)


@contextmanager
def frozen(model: CapsuleModel) -> Iterator[None]:
    """Eval mode without gradients of parameters; mode and flags are restored afterwards."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        with eval_mode(model):
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)

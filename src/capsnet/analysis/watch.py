"""What the last capsule layer of a model is given, and what the model makes of it, batch by batch."""

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


class Watched(NamedTuple):
    """One batch.

    Args:
        images: in [0, 1].
        labels: true classes.
        children: what the last dense capsule layer was given; None where the model has none.
        output: what the model said.
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
    """Run a model over images and catch what its last dense capsule layer is given; call it under `torch.no_grad`."""
    caught: list[Capsules] = []

    def catch(_: nn.Module, arguments: tuple[Capsules | RoutingOutput, ...]) -> None:
        caught.append(Capsules(arguments[0].poses, arguments[0].activations))

    layer = model.class_layer
    hook = None if layer is None else layer.register_forward_pre_hook(catch)
    try:
        for images, labels, output in predict_batches(model, data, batch_size=batch_size):
            yield Watched(images, labels, caught[-1] if caught else None, output)
            caught.clear()
    finally:
        if hook is not None:
            hook.remove()


@torch.no_grad()
def find_lengths(
    model: CapsuleModel, images: Float[Tensor, "b c h w"], *, batch_size: int = 64
) -> Float[Tensor, "b n"]:
    """Lengths of the class capsules of images in [0, 1]; images are moved to the model's device."""
    return torch.cat([read(model, part.to(model.device)).lengths.cpu() for part in torch.split(images, batch_size)])


def view(model: CapsuleModel, data: ImageData) -> Float[Tensor, "m c h w"]:
    """What a model sees of images, in [0, 1]: where attacks and changes are made."""
    return model.inputs.view(data.images) / 255


def read(model: CapsuleModel, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
    """What a model says of what it sees, as `view` gives it; differentiable."""
    return model(standardize_images(255 * images) if model.inputs.standardize else images)


@contextmanager
def frozen(model: CapsuleModel) -> Iterator[None]:
    """In eval mode and without gradients of parameters; afterwards everything is as before."""
    was_training = model.training
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        model.train(was_training)
        for parameter in wanted:
            parameter.requires_grad_(True)

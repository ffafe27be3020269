"""Identify a Keras file's layers by their shapes, because their names and number differ between files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

from capsnet.interop.hdf5 import Array, KerasLayer


@dataclass
class Parts:
    """The layers of a Keras file by kind, each kind in the file's order.

    Args:
        convolutions: kernel `k k in out` and bias.
        norms: scale and shift, of batch normalisation also mean and variance.
        capsules: transformation matrices with four axes, some with a bias of the routing's logits or coupling.
        dense: kernel `in out` and bias.
        others: everything else.
    """

    convolutions: list[KerasLayer] = field(default_factory=list)
    norms: list[KerasLayer] = field(default_factory=list)
    capsules: list[KerasLayer] = field(default_factory=list)
    dense: list[KerasLayer] = field(default_factory=list)
    others: list[KerasLayer] = field(default_factory=list)

    def describe(self) -> str:
        """The number of layers of each kind, with the shapes of some."""
        words = []
        for kind, layers in vars(self).items():
            if layers:
                shapes = [" and ".join("x".join(map(str, shape)) for shape in layer.shapes) for layer in layers[:3]]
                more = ", ..." if len(layers) > 3 else ""
                words.append(
                    f"{len(layers)} {'other layers' if kind == 'others' else kind} ({', '.join(shapes)}{more})"
                )
        return ", ".join(words) or "no weights"


@dataclass(frozen=True)
class Network:
    """A recognised capsule network, as a model of this package.

    Args:
        source: project of the network.
        model: the model's name in this package.
        options: arguments of `create_model`.
        tensors: all weights, by the model's names.
        data: the data set that its authors trained it on; None: unknown.
        pixel_scale: the number by which its authors divide pixels.
    """

    source: str
    model: str
    options: Mapping[str, object]
    tensors: dict[str, Tensor]
    data: str | None = None
    pixel_scale: float = 255.0


def sort_layers(layers: tuple[KerasLayer, ...]) -> Parts:
    """Sort layers by kind."""
    parts = Parts()
    for layer in layers:
        getattr(parts, _kind(layer.shapes)).append(layer)
    return parts


def _kind(shapes: tuple[tuple[int, ...], ...]) -> str:
    first, rest = shapes[0], shapes[1:]
    if len(first) == 4 and first[0] == first[1] and rest == (first[3:],):
        return "convolutions"
    if len(first) == 2 and rest == (first[1:],):
        return "dense"
    if len(first) == 1 and len(shapes) in (2, 4) and len(set(shapes)) == 1:
        return "norms"
    # the routing's bias has one number for each matrix
    if len(first) == 4 and (not rest or (len(rest) == 1 and prod(rest[0]) == first[0] * first[1])):
        return "capsules"
    return "others"


def convolution(layer: KerasLayer) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution."""
    kernel, bias = layer.arrays
    return tensor(kernel.transpose(3, 2, 0, 1)), tensor(bias)


def dense(layer: KerasLayer) -> tuple[Tensor, Tensor]:
    """Weight and bias of a dense layer."""
    kernel, bias = layer.arrays
    return tensor(kernel.T), tensor(bias)


def decoder_tensors(layers: list[KerasLayer], image_shape: tuple[int, int, int], classes: int) -> dict[str, Tensor]:
    """The weights of a fully connected decoder; the pixels of Keras' images are row, column, channel.

    The first version of CapsNet-Keras decodes the pose of one class, independent of the class: its weights are copied
    for each class.
    """
    channels, height, width = image_shape
    tensors: dict[str, Tensor] = {}
    for number, layer in enumerate(layers):
        weight, bias = dense(layer)
        if number == 0:
            weight = weight.repeat(1, classes)
        if number == len(layers) - 1:
            weight = weight.reshape(height, width, channels, -1).permute(2, 0, 1, 3).flatten(0, 2)
            bias = bias.reshape(height, width, channels).permute(2, 0, 1).flatten()
        tensors[f"decoder.linears.{number}.weight"], tensors[f"decoder.linears.{number}.bias"] = weight, bias
    return tensors


def tensor(array: Array) -> Tensor:
    """A copy of an array as a tensor."""
    return torch.from_numpy(array.copy())

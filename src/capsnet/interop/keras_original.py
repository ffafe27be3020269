"""The original CapsNet that Efficient-CapsNet compares with, from Keras' arrays and back to them.

github.com/EscVM/Efficient-CapsNet, 4b337f5, models/original_capsnet_graph_mnist.py and utils/layers_hinton.py: the
network of Sabour et al.'s released code, `capsnet-authors` here. Primary capsules have a bias for each type and
dimension, and one axis of the capsule matrices holds class and dimension of its pose.
"""

from pathlib import Path

import numpy as np
import torch

from capsnet.errors import UserError
from capsnet.interop.hdf5 import Array
from capsnet.interop.keras_capsnet import decoder_arrays
from capsnet.interop.keras_network import Network, Parts, convolution, decoder_tensors, image_side, rescale_stem, tensor
from capsnet.models.capsnet import CapsNet
from capsnet.routing.dynamic import DynamicRouting

EXPECTED = (
    "the original CapsNet of Efficient-CapsNet (a convolution; primary capsules with a bias for each type; capsule "
    "matrices of three axes with a bias for each class; dense layers that decode)"
)
# its authors divide pixels by 256
_PIXEL_SCALE = 256.0


def is_original(parts: Parts) -> bool:
    """Whether these are the layers of this network."""
    if len(parts.convolutions) != 1 or len(parts.others) != 2 or not parts.dense or parts.norms or parts.capsules:
        return False
    shapes = [[len(shape) for shape in layer.shapes] for layer in parts.others]
    return shapes == [[4, 2], [3, 2]]


def read_original(parts: Parts, path: Path, image_size: int | None = None) -> Network:
    """The network that these layers are.

    Args:
        parts: all layers of the file.
        path: the file, for messages.
        image_size: side of the images, which must be what the decoder draws; None: taken from it.

    Raises:
        UserError: sizes that do not fit together.
    """
    primary, matrices = parts.others
    kernel_size, _, channels, width = parts.convolutions[0].shapes[0]
    (types, child_dim), (classes, parent_dim) = primary.shapes[1], matrices.shapes[1]
    side = image_side(parts, path, channels, image_size)
    grid = (side - 2 * kernel_size + 1) // 2 + 1
    fits = (
        primary.shapes[0] == (kernel_size, kernel_size, width, types * child_dim)
        and matrices.shapes[0] == (grid * grid * types, child_dim, classes * parent_dim)
        and parts.dense[0].shapes[0][0] == classes * parent_dim
    )
    if not fits:
        raise UserError(f"{path}: its layers do not follow one another; got {parts.describe()}, expected {EXPECTED}")
    image_shape = (channels, side, side)
    stem_weight, stem_bias = convolution(parts.convolutions[0])
    weight, bias = matrices.arrays
    tensors = {
        "stem.weight": stem_weight,
        "stem.bias": stem_bias,
        "primary_capsules.conv.weight": tensor(primary.arrays[0].transpose(3, 2, 0, 1)),
        "primary_capsules.conv.bias": tensor(primary.arrays[1].reshape(-1)),
        "class_capsules.weight": tensor(weight.reshape(*weight.shape[:2], classes, parent_dim)),
        "class_capsules.routing.bias": tensor(bias),
    }
    options: dict[str, object] = {
        "image_shape": image_shape,
        "num_classes": classes,
        "stem_channels": width,
        "num_types": types,
        "child_dim": child_dim,
        "parent_dim": parent_dim,
        "kernel_size": kernel_size,
        "primary_scale": 1 / types,
        "decoder": True,
        "decoder_hidden": tuple(layer.shapes[1][0] for layer in parts.dense[:-1]),
    }
    tensors |= decoder_tensors(parts.dense, image_shape, 1)
    known = image_shape == (1, 28, 28) and classes == 10
    data = "mnist" if known else None
    return Network("Efficient-CapsNet", "capsnet-authors", options, tensors, data, _PIXEL_SCALE, iterates=True)


def original_layers(model: CapsNet) -> list[tuple[str, dict[str, Array]]]:
    """The two layers of Efficient-CapsNet's original CapsNet, encoder and decoder, with all weights by name.

    Raises:
        UserError: a model that computes something that theirs does not.
    """
    routing = model.class_capsules.routing
    if not isinstance(routing, DynamicRouting) or routing.bias is None or routing.leaky or model.decoder is None:
        decoder = "no decoder" if model.decoder is None else "a decoder"
        raise UserError(
            "Efficient-CapsNet's original CapsNet has dynamic routing with a bias, no class for none, and a decoder; "
            f"this network has {type(routing).__name__}({routing.extra_repr()}) and {decoder}"
        )
    state = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    rescale_stem(state, torch.full((model.input_shape[0],), _PIXEL_SCALE / 255), "stem")
    arrays = {name: weight.numpy() for name, weight in state.items()}
    # they divide by the number of types, whatever the factor is here
    types = model.primary_capsules.num_types
    kernel = arrays["primary_capsules.conv.weight"] * np.float32(model.primary_capsules.scale * types)
    weight = arrays["class_capsules.weight"]
    encoder: dict[str, Array] = {
        "conv2d/kernel:0": arrays["stem.weight"].transpose(2, 3, 1, 0),
        "conv2d/bias:0": arrays["stem.bias"],
        "primary_caps/kernel:0": kernel.transpose(2, 3, 1, 0),
        "primary_caps/biases:0": arrays["primary_capsules.conv.bias"].reshape(types, -1),
        "digit_caps/W:0": weight.reshape(*weight.shape[:2], -1),
        "digit_caps/biases:0": arrays["class_capsules.routing.bias"],
    }
    return [("Original_CapsNet", encoder), ("Generator", decoder_arrays(arrays, model.input_shape))]

"""Convert the network of CapsNet-Keras and CapsNet_Project from Keras' arrays and back.

github.com/XifengGuo/CapsNet-Keras, all versions from b102071 (2017) to 9d7e641 (TensorFlow 2.2), and
github.com/HB5101/CapsNet_Project, bdfae5e. They compute the same function as `CapsNet`: zero logits for each sample,
softmax over the classes, no bias. Differences are below single precision, except for `Length`, which adds 1e-7 under
its root: a capsule of length zero has 0.0003.
"""

from pathlib import Path

import numpy as np

from capsnet.errors import UserError
from capsnet.interop.hdf5 import Array, KerasLayer
from capsnet.interop.keras_network import Network, Parts, convolution, decoder_tensors, image_side, tensor
from capsnet.models.capsnet import CapsNet
from capsnet.routing.dynamic import DynamicRouting

EXPECTED = (
    "CapsNet-Keras' (a convolution; one convolution of primary capsules, or one for each kind; capsule matrices of "
    "four axes; dense layers that decode)"
)
# axes of the matrices in the versions of Keras' code: j classes, i children, d and c the dimensions of their poses
_ORDERS = ("jidc", "ijcd")


def is_capsnet(parts: Parts) -> bool:
    """Whether the layers are those of this network."""
    return len(parts.convolutions) >= 2 and len(parts.capsules) == 1 and not parts.norms and not parts.others


def read_capsnet(parts: Parts, path: Path, image_size: int | None = None) -> Network:
    """Convert the layers to a network.

    Args:
        parts: all layers of the file.
        path: the file, for messages.
        image_size: side of the images; None: taken from the decoder.

    Raises:
        UserError: sizes that do not fit together, or matrices with learned logits.
    """
    stem, *primary = parts.convolutions
    kernel_size, _, channels, width = stem.shapes[0]
    window = (kernel_size, kernel_size, width)
    if any(layer.shapes[0][:3] != window or layer.shapes[0][3] != primary[0].shapes[0][3] for layer in primary):
        raise UserError(
            f"{path}: its convolutions do not follow one another; got {parts.describe()}, expected {EXPECTED}"
        )
    side = image_side(parts, path, channels, image_size)
    maps = sum(layer.shapes[0][3] for layer in primary)
    order, padding, grid = _find_order(parts, path, side, maps)
    sizes = dict(zip(order, parts.capsules[0].shapes[0], strict=True))
    types = maps // sizes["c"]
    _check_logits(parts.capsules[0], path)
    image_shape = (channels, side, side)
    weight = np.einsum(f"{order}->icjd", parts.capsules[0].arrays[0])
    if len(primary) > 1:
        # children are in the order type, row, column there, and row, column, type here
        weight = weight.reshape(types, grid * grid, *weight.shape[1:]).swapaxes(0, 1).reshape(weight.shape)
    stem_weight, stem_bias = convolution(stem)
    pairs = [convolution(layer) for layer in primary]
    tensors = {
        "stem.weight": stem_weight,
        "stem.bias": stem_bias,
        "primary_capsules.conv.weight": tensor(np.concatenate([weight.numpy() for weight, _ in pairs])),
        "primary_capsules.conv.bias": tensor(np.concatenate([bias.numpy() for _, bias in pairs])),
        "class_capsules.weight": tensor(weight),
    }
    options: dict[str, object] = {
        "image_shape": image_shape,
        "num_classes": sizes["j"],
        "decoder": bool(parts.dense),
        "stem_channels": width,
        "num_types": types,
        "child_dim": sizes["c"],
        "parent_dim": sizes["d"],
        "kernel_size": kernel_size,
        "padding": padding,
    }
    if parts.dense:
        options["decoder_hidden"] = tuple(layer.shapes[1][0] for layer in parts.dense[:-1])
        one_for_all = parts.dense[0].shapes[0][0] == sizes["d"]
        tensors |= decoder_tensors(parts.dense, image_shape, sizes["j"] if one_for_all else 1)
    source = "CapsNet_Project" if len(primary) > 1 else "CapsNet-Keras"
    known = image_shape == (1, 28, 28) and sizes["j"] == 10
    return Network(source, "capsnet", options, tensors, data="mnist" if known else None, iterates=True)


def _find_order(parts: Parts, path: Path, side: int, maps: int) -> tuple[str, str, int]:
    """The order of the matrices' axes, the padding of the convolutions, and the rows of primary capsules."""
    shape, kernel_size = parts.capsules[0].shapes[0], parts.convolutions[0].shapes[0][0]
    grids = {"valid": (side - 2 * kernel_size + 1) // 2 + 1, "same": -(-side // 2)}
    first = parts.convolutions[1].shapes[0][3] if len(parts.convolutions) > 2 else None
    for padding, grid in grids.items():
        for order in _ORDERS:
            sizes = dict(zip(order, shape, strict=True))
            decoded = parts.dense[0].shapes[0][0] if parts.dense else sizes["d"]
            if (
                sizes["i"] * sizes["c"] == grid * grid * maps
                and decoded in (sizes["j"] * sizes["d"], sizes["d"])
                and first in (None, sizes["c"])
            ):
                return order, padding, grid
    counts = " or ".join(f"{grid * grid * maps:,}" for grid in grids.values())
    raise UserError(
        f"{path}: its capsule matrices {'x'.join(map(str, shape))} do not fit its other layers: {maps} maps of images "
        f"of {side}x{side} are children with {counts} numbers together; got {parts.describe()}, expected {EXPECTED}"
    )


def _check_logits(layer: KerasLayer, path: Path) -> None:
    """Refuse learned logits: the first version stores initial routing logits, which its code never trains."""
    for name, array in list(layer.weights.items())[1:]:
        if np.any(array):
            raise UserError(
                f"{path}: {name!r} holds learned routing logits, and routing starts from zero here; expected zeros, as "
                "CapsNet-Keras writes them"
            )


def capsnet_layers(model: CapsNet) -> list[tuple[str, dict[str, Array]]]:
    """The layers of CapsNet-Keras with a model's weights: name, and arrays by name.

    Raises:
        UserError: a model that computes another function than their network.
    """
    routing = model.class_capsules.routing
    if not isinstance(routing, DynamicRouting) or routing.bias is not None or routing.leaky:
        raise UserError(
            "CapsNet-Keras has dynamic routing without bias and not leaky; this network has "
            f"{type(routing).__name__}({routing.extra_repr()})"
        )
    if model.decoder is None:
        raise UserError("CapsNet-Keras' network has a decoder, this one has none; train it with a recon_weight above 0")
    state = {name: weight.numpy() for name, weight in model.state_dict().items()}
    # their primary capsules have no factor before the squash
    primary = state["primary_capsules.conv.weight"] * np.float32(model.primary_capsules.scale)
    layers: list[tuple[str, dict[str, Array]]] = [
        ("conv1", {"conv1/kernel:0": state["stem.weight"].transpose(2, 3, 1, 0), "conv1/bias:0": state["stem.bias"]}),
        (
            "primarycap_conv2d",
            {
                "primarycap_conv2d/kernel:0": primary.transpose(2, 3, 1, 0),
                "primarycap_conv2d/bias:0": state["primary_capsules.conv.bias"],
            },
        ),
        ("digitcaps", {"digitcaps/W:0": state["class_capsules.weight"].transpose(2, 0, 3, 1)}),
    ]
    layers.append(("decoder", decoder_arrays(state, model.input_shape)))
    return layers


def decoder_arrays(state: dict[str, Array], image_shape: tuple[int, int, int]) -> dict[str, Array]:
    """The arrays of a fully connected decoder in Keras."""
    arrays: dict[str, Array] = {}
    count = sum(name.startswith("decoder.linears.") for name in state) // 2
    for number in range(count):
        weight, bias = (state[f"decoder.linears.{number}.{part}"] for part in ("weight", "bias"))
        if number == count - 1:
            weight = weight.reshape(*image_shape, -1).transpose(1, 2, 0, 3).reshape(weight.shape)
            bias = bias.reshape(image_shape).transpose(1, 2, 0).reshape(bias.shape)
        arrays[f"dense_{number + 1}/kernel:0"], arrays[f"dense_{number + 1}/bias:0"] = weight.T, bias
    return arrays

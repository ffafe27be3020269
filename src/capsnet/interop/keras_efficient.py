"""Convert the networks of Efficient-CapsNet from Keras' arrays and back.

github.com/EscVM/Efficient-CapsNet, 4b337f5: the released weights for MNIST, MultiMNIST and smallNORB.
"""

from pathlib import Path

import numpy as np
import torch

from capsnet.errors import UserError
from capsnet.interop.hdf5 import Array
from capsnet.interop.keras_capsnet import decoder_arrays
from capsnet.interop.keras_network import Network, Parts, convolution, decoder_tensors, dense, rescale_stem, tensor
from capsnet.models.efficient_capsnet import EfficientCapsNet
from capsnet.models.factory import own_option

EXPECTED = (
    "Efficient-CapsNet's (four convolutions and a depthwise one, four normalisations, capsule matrices with a bias, a "
    "decoder)"
)
# the side of the depthwise convolution identifies the network
_NETWORKS = {9: ("", "mnist", 256.0), 5: ("-multimnist", "multimnist", 255.0), 8: ("-smallnorb", "smallnorb", 255.0)}
_STEM = "stem.0"
_NORM = ("weight", "bias", "running_mean", "running_var")
_KERAS_NORM = ("gamma:0", "beta:0", "moving_mean:0", "moving_variance:0")


def is_efficient(parts: Parts) -> bool:
    """Whether the layers are those of one of these networks."""
    return (
        len(parts.norms) == 4
        and len(parts.convolutions) in (5, 9)
        and len(parts.capsules) == 1
        and len(parts.capsules[0].shapes) == 2
        and not parts.others
    )


def read_efficient(parts: Parts, path: Path) -> Network:
    """Convert the layers to a network.

    Raises:
        UserError: the layers are not those of one of the three networks.
    """
    side = parts.convolutions[4].shapes[0][0]
    if side not in _NETWORKS:
        raise UserError(
            f"{path}: its primary capsules have windows of {side}x{side}, those of Efficient-CapsNet are 9x9 (MNIST), "
            f"5x5 (MultiMNIST) or 8x8 (smallNORB); got {parts.describe()}"
        )
    ending, data, pixel_scale = _NETWORKS[side]
    model = f"efficient-capsnet{ending}"
    matrices, prior = parts.capsules[0].arrays
    tensors = {
        "class_capsules.weight": tensor(matrices.transpose(1, 2, 0, 3)),
        "class_capsules.routing.prior": tensor(prior.reshape(matrices.shape[:2]).T),
    }
    names = [*(f"stem.{3 * number}" for number in range(4)), "primary"]
    for name, layer in zip(names, parts.convolutions[:5], strict=True):
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = convolution(layer)
    for number, layer in enumerate(parts.norms):
        for part, array in zip(_NORM, layer.arrays, strict=False):
            tensors[f"stem.{3 * number + 2}.{part}"] = tensor(array)
        if len(layer.arrays) == 4:
            tensors[f"stem.{3 * number + 2}.num_batches_tracked"] = torch.tensor(0)
    classes = matrices.shape[0]
    options: dict[str, object] = {"num_classes": classes}
    if len(parts.convolutions) == 9:
        tensors["decoder.linear.weight"], tensors["decoder.linear.bias"] = dense(parts.dense[0])
        for number, layer in enumerate(parts.convolutions[5:]):
            name = f"decoder.convs.{number}"
            tensors[f"{name}.weight"], tensors[f"{name}.bias"] = convolution(layer)
    else:
        shape = image_shape(model)
        if not parts.dense or parts.dense[-1].shapes[1] != (int(np.prod(shape)),):
            raise UserError(
                f"{path}: its decoder must draw {shape[1]}x{shape[2]} pixels; got {parts.describe()}, expected "
                f"{EXPECTED}"
            )
        tensors |= decoder_tensors(parts.dense, shape, 1)
    return Network("Efficient-CapsNet", model, options, tensors, data, pixel_scale, stem=_STEM)


def image_shape(model: str) -> tuple[int, int, int]:
    """Channels, height and width of the images of one of these models."""
    shape = own_option(model, "image_shape")
    assert isinstance(shape, tuple)
    return shape


def efficient_layers(model: EfficientCapsNet, name: str) -> list[tuple[str, dict[str, Array]]]:
    """The two layers of Efficient-CapsNet's models, encoder and decoder, with all weights by name.

    Args:
        model: the network.
        name: its name in `create_model`.

    Raises:
        UserError: a model that computes another function than their networks.
    """
    routing = model.class_capsules.routing
    prior = dict(routing.named_parameters()).get("prior")
    if prior is None or model.decoder is None:
        raise UserError(
            "Efficient-CapsNet has self-attention routing with a prior, and a decoder; this network does not"
        )
    state = {key: weight.detach().clone() for key, weight in model.state_dict().items()}
    if name == "efficient-capsnet":
        # they divide pixels by 256
        rescale_stem(state, torch.full((model.input_shape[0],), 256 / 255), _STEM)
    arrays = {key: weight.numpy() for key, weight in state.items()}
    encoder: dict[str, Array] = {}
    averages: dict[str, Array] = {}
    for number in range(4):
        encoder |= _convolution_arrays(arrays, f"stem.{3 * number}", f"conv2d_{number}")
        for part, keras_part in zip(_NORM, _KERAS_NORM, strict=True):
            key = f"stem.{3 * number + 2}.{part}"
            if key in arrays:
                # Keras lists untrained weights last
                kept = averages if part.startswith("running") else encoder
                kept[f"normalization_{number}/{keras_part}"] = arrays[key]
    encoder |= _convolution_arrays(arrays, "primary", "primary_caps/conv2d_4")
    encoder["fc_caps/W:0"] = arrays["class_capsules.weight"].transpose(2, 0, 1, 3)
    encoder["fc_caps/b:0"] = arrays["class_capsules.routing.prior"].T[..., None]
    if "decoder.linear.weight" not in arrays:
        return [("Efficient_CapsNet", encoder | averages), ("Generator", decoder_arrays(arrays, model.input_shape))]
    decoder = {"dense/kernel:0": arrays["decoder.linear.weight"].T, "dense/bias:0": arrays["decoder.linear.bias"]}
    for number in range(4):
        decoder |= _convolution_arrays(arrays, f"decoder.convs.{number}", f"conv2d_{number + 5}")
    return [("Efficient_CapsNet", encoder | averages), ("Generator", decoder)]


def _convolution_arrays(arrays: dict[str, Array], name: str, keras_name: str) -> dict[str, Array]:
    return {
        f"{keras_name}/kernel:0": arrays[f"{name}.weight"].transpose(2, 3, 1, 0),
        f"{keras_name}/bias:0": arrays[f"{name}.bias"],
    }

"""Small Keras files as each repository writes them, and the networks that are in them, computed by NumPy as theirs."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np

KINDS, CLASSES, GRID = 2, 3, 2


def write_keras_2(path, layers, *, whole=False, config=None):
    """Write layers, `(name, {weight name: array})`, as Keras 2 did; those of a whole model one group deeper."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        root.attrs["layer_names"] = [name.encode() for name, _ in layers]
        root.attrs["backend"], root.attrs["keras_version"] = b"tensorflow", b"2.2.4"
        for name, weights in layers:
            group = root.create_group(name)
            group.attrs["weight_names"] = [weight.encode() for weight in weights]
            for weight, array in weights.items():
                group.create_dataset(weight, data=array)
        if config is not None:
            file.attrs["model_config"] = config
    return Path(path)


@dataclass
class Weights:
    """Kernels and biases, channels last, the capsule matrices `j i d c`, and images to try them on."""

    stem: tuple[np.ndarray, np.ndarray]
    primary: tuple[np.ndarray, np.ndarray]
    matrices: np.ndarray
    decoder: list[tuple[np.ndarray, np.ndarray]]
    images: np.ndarray


def draw(*, channels=1, seed=0, side=20, kernel_size=9):
    """Weights of two kinds of primary capsule of 4 dimensions on a grid of 2x2, three classes of 6 dimensions."""
    random = np.random.default_rng(seed)

    def normal(*shape, std):
        return random.normal(0, std, shape).astype("float32")

    children = KINDS * GRID * GRID
    sizes = (CLASSES * 6, 7, side * side * channels)
    return Weights(
        (normal(kernel_size, kernel_size, channels, 5, std=0.2), normal(5, std=0.1)),
        (normal(kernel_size, kernel_size, 5, KINDS * 4, std=0.1), normal(KINDS * 4, std=0.1)),
        normal(CLASSES, children, 6, 4, std=0.5),
        [(normal(a, b, std=0.5), normal(b, std=0.1)) for a, b in pairwise(sizes)],
        random.random((4, side, side, channels)).astype("float32"),
    )


def answer(weights, *, routings=3, by_kind=False, scale=1.0, bias=0.0):
    """Lengths and reconstructions, channels last, in the order of operations of their code and in float64.

    Of the original CapsNet, `scale` is what its primary capsules are multiplied by, and `bias` that of its classes.
    """
    maps = np.maximum(convolve(weights.images, *weights.stem, 1), 0)
    maps = convolve(maps, weights.primary[0] * scale, weights.primary[1], 2)
    children = maps.reshape(len(maps), GRID * GRID, KINDS, 4)
    if by_kind:
        # CapsNet_Project puts the capsules of one convolution after those of another
        children = children.swapaxes(1, 2)
    children = squash(children.reshape(len(maps), -1, 4))
    votes = np.einsum("bic,jidc->bjid", children, weights.matrices)
    logits = np.zeros(votes.shape[:3])
    for step in range(routings):
        coupling = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        poses = squash(np.einsum("bji,bjid->bjd", coupling, votes) + bias)
        if step < routings - 1:
            logits = logits + np.einsum("bjid,bjd->bji", votes, poses)
    lengths = np.sqrt(np.square(poses).sum(-1) + 1e-7)
    hidden = (poses * np.eye(CLASSES)[lengths.argmax(1)][..., None]).reshape(len(poses), -1)
    if weights.decoder[0][0].shape[0] == 6:
        hidden = poses[np.arange(len(poses)), lengths.argmax(1)]
    for kernel, bias in weights.decoder[:-1]:
        hidden = np.maximum(hidden @ kernel + bias, 0)
    kernel, bias = weights.decoder[-1]
    return lengths, (1 / (1 + np.exp(-(hidden @ kernel + bias)))).reshape(weights.images.shape)


def squash(vectors):
    squared = np.square(vectors).sum(-1, keepdims=True)
    return squared / (1 + squared) / np.sqrt(squared + 1e-7) * vectors


def convolve(images, kernel, bias, stride):
    side = kernel.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(images.astype("float64"), (side, side), axis=(1, 2))
    return np.einsum("bhwcyx,yxco->bhwo", windows[:, ::stride, ::stride], kernel) + bias


def newest_layers(weights, start=1):
    """As XifengGuo/CapsNet-Keras has written since November 2017; `start` is the number of the first dense layer."""
    dense = {}
    for number, (kernel, bias) in enumerate(weights.decoder, start):
        dense |= {f"dense_{number}/kernel:0": kernel, f"dense_{number}/bias:0": bias}
    return [
        ("input_1", {}),
        ("conv1", {"conv1/kernel:0": weights.stem[0], "conv1/bias:0": weights.stem[1]}),
        (
            "primarycap_conv2d",
            {"primarycap_conv2d/kernel:0": weights.primary[0], "primarycap_conv2d/bias:0": weights.primary[1]},
        ),
        ("digitcaps", {"digitcaps/W:0": weights.matrices}),
        ("input_2", {}),
        ("capsnet", {}),
        ("decoder", dense),
    ]


def first_layers(weights, bias=0.0):
    """As its first version wrote: other axes, a bias of routing, dense layers at the top that take one pose."""
    matrices = weights.matrices.transpose(1, 0, 3, 2)
    routing = np.full((1, *matrices.shape[:2], 1, 1), bias, "float32")
    top = [
        (f"dense_{number}", {f"dense_{number}/kernel:0": kernel, f"dense_{number}/bias:0": shift})
        for number, (kernel, shift) in enumerate(weights.decoder, 1)
    ]
    return [
        *newest_layers(weights)[:2],
        ("conv2d_1", {"conv2d_1/kernel:0": weights.primary[0], "conv2d_1/bias:0": weights.primary[1]}),
        ("digitcaps", {"digitcaps/W:0": matrices, "digitcaps/bias:0": routing}),
        *top,
    ]


def project_layers(weights, start=33):
    """As HB5101/CapsNet_Project writes: a convolution for each kind of primary capsule."""
    kinds = []
    for kind in range(KINDS):
        name, part = f"conv2d_{start + kind}", slice(4 * kind, 4 * kind + 4)
        kinds.append(
            (name, {f"{name}/kernel:0": weights.primary[0][..., part], f"{name}/bias:0": weights.primary[1][part]})
        )
    stem = ("conv_layer", {"conv_layer/kernel:0": weights.stem[0], "conv_layer/bias:0": weights.stem[1]})
    return [stem, *kinds, ("digitcapsule", {"digitcapsule/Variable:0": weights.matrices}), newest_layers(weights)[-1]]


def original_layers(weights, bias):
    """As Efficient-CapsNet's original CapsNet is written, with the bias of its classes."""
    matrices = weights.matrices.transpose(1, 3, 0, 2)
    encoder = {
        "conv2d/kernel:0": weights.stem[0],
        "conv2d/bias:0": weights.stem[1],
        "primary_caps/kernel:0": weights.primary[0],
        "primary_caps/biases:0": weights.primary[1].reshape(KINDS, 4),
        "digit_caps/W:0": matrices.reshape(*matrices.shape[:2], -1),
        "digit_caps/biases:0": bias,
    }
    return [("Original_CapsNet", encoder), ("Generator", newest_layers(weights)[-1][1])]


def efficient_layers(kind, seed=0):
    """The encoder and the decoder of Efficient-CapsNet, with weights drawn anew."""
    random = np.random.default_rng(seed)
    sides, depthwise, classes, channels = {
        "mnist": ((5, 3, 3, 3), 9, 10, 1),
        "multimnist": ((5, 3, 3, 3), 5, 10, 1),
        "smallnorb": ((7, 3, 3, 3), 8, 5, 2),
    }[kind]

    def normal(*shape):
        return random.normal(0, 0.1, shape).astype("float32")

    encoder, averages, before = {}, {}, channels
    for number, (side, width) in enumerate(zip(sides, (32, 64, 64, 128), strict=True), 4):
        encoder |= {f"conv2d_{number}/kernel:0": normal(side, side, before, width)}
        encoder |= {f"conv2d_{number}/bias:0": normal(width)}
        encoder |= {f"norm_{number}/gamma:0": normal(width) + 1, f"norm_{number}/beta:0": normal(width)}
        averages |= {f"norm_{number}/moving_mean:0": normal(width)}
        averages |= {f"norm_{number}/moving_variance:0": normal(width) ** 2 + 1}
        before = width
    encoder |= {"primary_caps/conv2d_8/kernel:0": normal(depthwise, depthwise, 1, 128)}
    encoder |= {"primary_caps/conv2d_8/bias:0": normal(128)}
    encoder |= {"fc_caps/W:0": normal(classes, 16, 8, 16), "fc_caps/b:0": normal(classes, 16, 1)}
    if kind == "smallnorb":
        decoder = {"dense/kernel:0": normal(80, 64), "dense/bias:0": normal(64)}
        for number, (a, b) in enumerate([(1, 64), (64, 128), (128, 128), (128, 2)]):
            decoder |= {f"conv2d_{number}/kernel:0": normal(3, 3, a, b), f"conv2d_{number}/bias:0": normal(b)}
        return [("CapsNet", encoder), ("Generator", decoder)]
    pixels = {"mnist": 784, "multimnist": 1296}[kind]
    decoder = {}
    for number, (a, b) in enumerate([(160, 512), (512, 1024), (1024, pixels)]):
        decoder |= {f"dense_{number}/kernel:0": normal(a, b), f"dense_{number}/bias:0": normal(b)}
    return [("Efficient_CapsNet", encoder | averages), ("Generator", decoder)]


def answer_efficient(kind, images, seed=0):
    """Lengths that the encoder of Efficient-CapsNet gives, computed by NumPy as its code does, from its own inputs."""
    (_, weights), _ = efficient_layers(kind, seed)
    strides = {"mnist": (1, 1, 1, 2), "multimnist": (1, 1, 2, 2)}[kind]
    maps = images.astype("float64")
    for number, step in enumerate(strides, 4):
        maps = np.maximum(
            convolve(maps, weights[f"conv2d_{number}/kernel:0"], weights[f"conv2d_{number}/bias:0"], step), 0
        )
        gamma, beta, mean, variance = (
            weights[f"norm_{number}/{name}:0"] for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        maps = (maps - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    kernel = weights["primary_caps/conv2d_8/kernel:0"][:, :, 0]
    window = maps[:, : kernel.shape[0], : kernel.shape[1]]
    children = (np.einsum("byxc,yxc->bc", window, kernel) + weights["primary_caps/conv2d_8/bias:0"]).reshape(-1, 16, 8)
    votes = np.einsum("bic,jicd->bjid", _short(children), weights["fc_caps/W:0"])
    logits = np.einsum("bjid,bjkd->bji", votes, votes) / 4
    coupling = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) + weights["fc_caps/b:0"][..., 0]
    return np.linalg.norm(_short(np.einsum("bji,bjid->bjd", coupling, votes)), axis=-1)


def _short(vectors):
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (1 - np.exp(-norm)) * vectors / norm

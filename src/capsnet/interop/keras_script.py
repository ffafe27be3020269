"""What CapsNet-Keras' script is made of, for Keras 3: its network, shifted images and pictures.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017; github.com/XifengGuo/CapsNet-Keras,
capsulenet.py and utils.py. examples/capsulenet_keras.py puts them together.
"""

import csv
from collections.abc import Iterator, Sequence
from math import ceil, isqrt, prod
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from capsnet.errors import UserError
from capsnet.interop.keras import CapsuleLayer, Length, Mask, PrimaryCap

Images = NDArray[np.float32]
Batch = tuple[Images, Images]


def CapsNet(input_shape: Sequence[int], n_class: int, routings: int) -> "tuple[keras.Model, keras.Model, keras.Model]":
    """The network of CapsNet-Keras: three models that share all weights.

    Args:
        input_shape: height, width and channels of the images.
        n_class: number of classes.
        routings: routing iterations.

    Returns:
        A model for training, from images and rows of zeros and ones to lengths and reconstructions of the true class;
        one for tests, from images to lengths and reconstructions of the longest capsule; and one that reconstructs the
        true class from its capsule plus a third input `b n 16`.
    """
    layers = keras.layers
    x, y, noise = layers.Input(tuple(input_shape)), layers.Input((n_class,)), layers.Input((n_class, 16))
    conv1 = layers.Conv2D(256, 9, activation="relu", name="conv1")(x)
    primary = PrimaryCap(conv1, dim_capsule=8, n_channels=32, kernel_size=9, strides=2, padding="valid")
    digits = CapsuleLayer(num_capsule=n_class, dim_capsule=16, routings=routings, name="digitcaps")(primary)
    lengths = Length(name="capsnet")(digits)
    dense = [layers.Dense(512, "relu"), layers.Dense(1024, "relu"), layers.Dense(prod(input_shape), "sigmoid")]
    reshape = layers.Reshape(tuple(input_shape), name="out_recon")
    decoder = keras.Sequential([layers.Input((16 * n_class,)), *dense, reshape], name="decoder")
    train_model = keras.Model([x, y], [lengths, decoder(Mask()([digits, y]))])
    eval_model = keras.Model(x, [lengths, decoder(Mask()(digits))])
    manipulate_model = keras.Model([x, y, noise], decoder(Mask()([layers.Add()([digits, noise]), y])))
    return train_model, eval_model, manipulate_model


def shifted_batches(x: Images, y: Images, batch_size: int, shift_fraction: float) -> Iterator[tuple[Batch, Batch]]:
    """Batches for the training model without end, in a new order each epoch, as Keras' image generator shifts them.

    Args:
        x: images `b h w c`.
        y: rows of zeros and ones.
        batch_size: images of a batch; a last, smaller batch of an epoch is left out.
        shift_fraction: largest shift in each direction, as a fraction of the side; the border's pixels are repeated.

    Raises:
        UserError: fewer images than a batch has.
    """
    if len(x) < batch_size:
        raise UserError(f"batch_size must be at most {len(x)}, the number of training images, got {batch_size}")
    move = keras.layers.RandomTranslation(shift_fraction, shift_fraction, fill_mode="nearest")
    draws = np.random.default_rng()
    while True:
        order = draws.permutation(len(x))
        for start in range(0, len(x) - batch_size + 1, batch_size):
            chosen = order[start : start + batch_size]
            images = x[chosen]
            if shift_fraction:
                images = keras.ops.convert_to_numpy(move(images, training=True))
            yield (images, y[chosen]), (y[chosen], images)


def perturbations(n_class: int, dim_capsule: int = 16) -> Images:
    """What is added to capsules to show their dimensions: -0.25 to 0.25 in 11 steps, one dimension after another.

    Shapes:
        result `m n d`, with m = 11 d.
    """
    noise = np.zeros((dim_capsule, 11, n_class, dim_capsule), np.float32)
    for dimension in range(dim_capsule):
        noise[dimension, :, :, dimension] = np.linspace(-0.25, 0.25, 11)[:, None]
    return noise.reshape(-1, n_class, dim_capsule)


def combine_images(images: Images, height: int | None = None) -> Images:
    """Put images `b h w c` into one picture, row by row.

    Args:
        images: in [0, 1].
        height: number of rows; None: as many as columns, or more.
    """
    count, *shape = images.shape
    width = ceil(count / height) if height else max(1, isqrt(count))
    height = height or ceil(count / width)
    grid = np.zeros((height * width, *shape), images.dtype)
    grid[:count] = images
    rows = grid.reshape(height, width, *shape).swapaxes(1, 2)
    picture: Images = rows.reshape(height * shape[0], width * shape[1], shape[2])
    return picture


def save_images(path: Path, images: Images, height: int | None = None) -> None:
    """Write `combine_images` of images in [0, 1] as a picture file."""
    Image.fromarray((255 * combine_images(images, height)).round().astype(np.uint8).squeeze()).save(path)


def plot_log(path: Path, out: Path) -> None:
    """Draw losses and accuracies of each epoch from the file of Keras' `CSVLogger`."""
    from matplotlib.figure import Figure

    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(4, 6), layout="constrained")
    losses, accuracies = figure.subplots(2, 1)
    losses.set_title("Training loss")
    accuracies.set_title("Training and validation accuracy")
    for name in rows[0] if rows else ():
        axes = accuracies if "acc" in name else losses if "loss" in name and "val" not in name else None
        if axes is not None:
            axes.plot([int(row["epoch"]) for row in rows], [float(row[name]) for row in rows], marker=".", label=name)
    for axes in (losses, accuracies):
        axes.legend()
        axes.xaxis.get_major_locator().set_params(integer=True)
    accuracies.set_xlabel("epoch")
    figure.savefig(out)


def load_arrays(name: str = "mnist") -> tuple[Batch, Batch]:
    """Training and test images `b h w c` in [0, 1] of a data set, each with rows of zeros and ones.

    Args:
        name: of a data set of `capsnet.data`.
    """
    from capsnet.data import load_data

    data = load_data(name)
    count = len(data.train.class_names)
    pairs = []
    for part in (data.train, data.test):
        images: Images = (part.images.permute(0, 2, 3, 1).float() / 255).numpy()
        pairs.append((images, np.eye(count, dtype=np.float32)[part.labels.numpy()]))
    return pairs[0], pairs[1]

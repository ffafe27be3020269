"""MNIST's test set transformed within affNIST's published ranges, a substitute for affNIST's own file.

Tieleman, "affNIST", 2013 (www.cs.toronto.edu/~tijmen/affNIST).
"""

from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from capsnet.data.affnist import SIDE, padded_mnist
from capsnet.data.dataset import DATASETS, Dataset, ImageData, Source
from capsnet.data.mnist import MNIST
from capsnet.data.transforms.affine import affine_images, rotations
from capsnet.data.transforms.random import draw_uniform

ROTATION, SHEAR, SCALE = 20.0, 0.2, (0.8, 1.2)
_CHUNK = 2000


def load_affnist_like(data_dir: Path | None = None, *, variants: int = 1, seed: int = 0) -> Dataset:
    """Make a test set like affNIST's from MNIST's test digits. The same seed gives the same images.

    As in affNIST: the originals (MNIST's 10,000 test digits), the frame of 40x40 pixels, the training images (MNIST in
    the middle of that frame), and the ranges, in which all draws are uniform: rotation by -20 to 20 degrees, shear by
    -0.2 to 0.2, independent vertical and horizontal scales of 0.8 to 1.2, and a translation that keeps all ink in the
    frame.

    Unlike affNIST: the draws themselves, the order of the transformations (here the digit is scaled, then sheared along
    the horizontal, then rotated, then translated), the resampling (here bilinear), and the number of variants of each
    digit (32 in affNIST). Test errors on this set are not test errors on affNIST.

    Args:
        data_dir: folder that holds MNIST's folder.
        variants: number of transformed images of each digit.
        seed: seed of the random transformations.

    Raises:
        UserError: MNIST's files are missing or fail a check.
    """
    test = MNIST.load(data_dir).test
    generator = torch.Generator().manual_seed(seed)
    images = torch.cat(
        [transform_digits(chunk, generator) for _ in range(variants) for chunk in torch.split(test.images, _CHUNK)]
    )
    originals = len(test) if variants > 1 else None
    moved = ImageData(images, test.labels.repeat(variants), test.class_names, originals=originals)
    return Dataset("affnist-like", padded_mnist(data_dir).train, moved, "digit", transformed_test=True)


def transform_digits(digits: UInt8[Tensor, "b 1 h w"], generator: torch.Generator) -> UInt8[Tensor, "b 1 s s"]:
    """Scale, shear, rotate and translate each digit by its own random numbers, into a frame of 40x40 pixels.

    Args:
        digits: images on the generator's device.
        generator: draws rotation, shear, the two scales and the two components of the translation, in this order.

    Shapes:
        digits `b 1 h w`, result `b 1 40 40`.
    """
    count = len(digits)
    turn = rotations(draw_uniform(count, -ROTATION, ROTATION, generator))
    shear = torch.eye(2, device=digits.device).repeat(count, 1, 1)
    shear[:, 0, 1] = draw_uniform(count, -SHEAR, SHEAR, generator)
    scale = torch.stack([draw_uniform(count, *SCALE, generator) for _ in range(2)], dim=1)
    matrices = turn @ shear @ torch.diag_embed(scale)
    low, high = _ink_box(digits, matrices)
    # the longest possible translation in each direction; a digit larger than the frame is centred
    first, last = -SIDE / 2 - low, SIDE / 2 - high
    middle = (first + last) / 2
    first, last = torch.minimum(first, middle), torch.maximum(last, middle)
    share = torch.stack([draw_uniform(count, 0.0, 1.0, generator) for _ in range(2)], dim=1)
    return affine_images(digits, matrices, torch.lerp(first, last, share), SIDE)


def _ink_box(digits: Tensor, matrices: Tensor) -> tuple[Float[Tensor, "b 2"], Float[Tensor, "b 2"]]:
    """The extent of each transformed digit's ink from the image's middle: left and up, right and down.

    Bilinear sampling spreads each pixel by one pixel in all directions, before the transformation.
    """
    height, width = digits.shape[2:]
    rows = torch.arange(height, device=digits.device) - (height - 1) / 2
    columns = torch.arange(width, device=digits.device) - (width - 1) / 2
    points = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).view(-1, 2)  # p 2
    moved = torch.einsum("bxy,py->bpx", matrices, points)
    blank = (digits == 0).flatten(1)[..., None]  # b p 1
    reach = matrices.abs().sum(dim=2)
    low = moved.masked_fill(blank, float("inf")).amin(dim=1) - reach
    high = moved.masked_fill(blank, -float("inf")).amax(dim=1) + reach
    empty = blank.all(dim=1)
    return low.masked_fill(empty, 0.0), high.masked_fill(empty, 0.0)


DATASETS.add(
    "affnist-like",
    Source(
        load_affnist_like,
        "MNIST to train on, its 10,000 test digits transformed in affNIST's ranges, 40x40",
        MNIST.find,
        made_from="mnist",
    ),
)

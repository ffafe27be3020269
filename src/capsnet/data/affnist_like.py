"""MNIST's test set transformed within affNIST's published ranges, for want of affNIST's own file.

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
    """Make a test set in the manner of affNIST from MNIST's, always the same one for the same seed.

    What is affNIST's: the originals (MNIST's 10,000 test digits), the frame of 40x40 pixels, the training images
    (MNIST in the middle of that frame), and the ranges, in which all draws are uniform: rotation by -20 to 20 degrees,
    shear by -0.2 to 0.2, vertical and horizontal scale, each on its own, 0.8 to 1.2, and a translation such that no
    ink leaves the frame.

    What is not: the draws themselves, the order of the transformations (here the digit is scaled, then sheared along
    the horizontal, then turned, then moved), the resampling (here bilinear), and the number of variants of each
    digit (32 in affNIST). Errors on it are not errors on affNIST.

    Args:
        data_dir: where MNIST lies.
        variants: transformed images of each digit.
        seed: of the draws.

    Raises:
        UserError: MNIST's files are missing or fail a check.
    """
    test = MNIST.load(data_dir).test
    generator = torch.Generator().manual_seed(seed)
    images = torch.cat(
        [transform_digits(chunk, generator) for _ in range(variants) for chunk in torch.split(test.images, _CHUNK)]
    )
    moved = ImageData(images, test.labels.repeat(variants), test.class_names)
    return Dataset("affnist-like", padded_mnist(data_dir).train, moved, "digit", transformed_test=True)


def transform_digits(digits: UInt8[Tensor, "b 1 h w"], generator: torch.Generator) -> UInt8[Tensor, "b 1 s s"]:
    """Scale, shear, turn and move each digit by numbers of its own, into a frame of 40x40.

    Args:
        digits: on the generator's device.
        generator: draws rotation, shear, two scales and the two parts of the translation, in this order.

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
    # the most that the digit can move towards either side; a digit larger than the frame is centred
    first, last = -SIDE / 2 - low, SIDE / 2 - high
    middle = (first + last) / 2
    first, last = torch.minimum(first, middle), torch.maximum(last, middle)
    share = torch.stack([draw_uniform(count, 0.0, 1.0, generator) for _ in range(2)], dim=1)
    return affine_images(digits, matrices, torch.lerp(first, last, share), SIDE)


def _ink_box(digits: Tensor, matrices: Tensor) -> tuple[Float[Tensor, "b 2"], Float[Tensor, "b 2"]]:
    """How far the ink of each transformed digit reaches, from its middle: left and up, right and down.

    Bilinear sampling spreads a pixel over one pixel to each side, before the transformation.
    """
    height, width = digits.shape[2:]
    rows = torch.arange(height, device=digits.device) - (height - 1) / 2
    columns = torch.arange(width, device=digits.device) - (width - 1) / 2
    places = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).view(-1, 2)  # p 2
    moved = torch.einsum("bxy,py->bpx", matrices, places)
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

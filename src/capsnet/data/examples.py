"""Example images of a class, for figures."""

import torch
from jaxtyping import UInt8
from torch import Tensor

from capsnet.data.dataset import Dataset
from capsnet.data.pairs import draw_pairs


def example_images(dataset: Dataset, label: int, count: int) -> UInt8[Tensor, "m c h w"]:
    """The first training images of a class; for pairs, images whose base digit is of that class. Deterministic.

    If a data set's test images are transformed, every second image is a test image.

    Args:
        dataset: source of the images.
        label: index of the class.
        count: number of images; fewer if the class has fewer.

    Shapes:
        result `count c h w`.
    """
    data = dataset.train
    members = (data.labels == label).nonzero()[:count, 0]
    if dataset.pairing is not None and len(members):
        generator = torch.Generator().manual_seed(label)
        return draw_pairs(data.images, data.labels, members, dataset.pairing, generator).images
    images = data.images[members]
    if dataset.transformed_test:
        moved = dataset.test.images[(dataset.test.labels == label).nonzero()[: count // 2, 0]]
        images = images.clone()
        images[1 : 2 * len(moved) : 2] = moved[: len(images) // 2]
    return images

"""MultiMNIST: pairs of overlapping MNIST digits, generated on the device.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 6.
"""

from dataclasses import replace
from pathlib import Path

from capsnet.data.dataset import DATASETS, Dataset, Source
from capsnet.data.mnist import MNIST
from capsnet.data.pairs import Pairing


def load_multimnist(data_dir: Path | None = None, *, pairing: Pairing = Pairing()) -> Dataset:  # noqa: B008
    """Load MNIST's single digits and how pairs are made of them; both digits of a pair come from the same split.

    Args:
        data_dir: folder that holds MNIST's folder.
        pairing: how pairs are made.

    Raises:
        UserError: MNIST's files are missing or fail a check.
    """
    return replace(MNIST.load(data_dir), name="multimnist", pairing=pairing)


DATASETS.add(
    "multimnist",
    Source(
        load_multimnist,
        "pairs of overlapping MNIST digits of different classes, 36x36",
        MNIST.find,
        made_from="mnist",
    ),
)

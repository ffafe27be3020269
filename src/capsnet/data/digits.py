"""scikit-learn's digits: 1,797 handwritten digits of 8x8 pixels, installed with it.

Alpaydin, Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from capsnet.data.dataset import DATASETS, Dataset, ImageData, Source, split_by_class

_TEST_SHARE = 0.2
_SPLIT_SEED = 0


def load_digits(data_dir: Path | None = None) -> Dataset:
    """Load the digits in MNIST's frame: enlarged to 20x20 and set into the middle of 28x28.

    A fifth of each class is the test split, always the same one.
    """
    from PIL import Image
    from sklearn.datasets import load_digits as load_bunch

    bunch = load_bunch()
    small = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    frames = np.zeros((len(small), 28, 28), np.uint8)
    for frame, digit in zip(frames, small, strict=True):
        frame[4:24, 4:24] = np.asarray(Image.fromarray(digit).resize((20, 20), Image.Resampling.BICUBIC))
    images, labels = torch.from_numpy(frames)[:, None], torch.from_numpy(bunch.target).long()
    data = ImageData(images, labels, tuple("0123456789"))
    train, test = split_by_class(labels, _TEST_SHARE, seed=_SPLIT_SEED)
    return Dataset("digits", data.select(train), data.select(test), "digit")


def find_digits(data_dir: Path | None = None) -> Path | None:
    """scikit-learn's folder of data files, or None."""
    # importing scikit-learn would take a second
    spec = importlib.util.find_spec("sklearn")
    folder = Path(spec.origin or "").parent / "datasets" / "data" if spec else Path()
    return folder if (folder / "digits.csv.gz").is_file() else None


DATASETS.add("digits", Source(load_digits, "scikit-learn's 1,797 handwritten digits, 8x8; no download", find_digits))

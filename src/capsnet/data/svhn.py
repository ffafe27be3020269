"""Street View House Numbers, cropped digits.

Netzer, Wang, Coates, Bissacco, Wu, Ng, "Reading Digits in Natural Images with Unsupervised Feature Learning", 2011.
"""

from pathlib import Path

import numpy as np
import torch

from capsnet.data.dataset import DATASETS, Dataset, ImageData, Source
from capsnet.data.download import find_files, find_folder
from capsnet.data.files import open_packed
from capsnet.data.matlab import read_matlab
from capsnet.errors import UserError

_CHECKSUMS = {
    "train_32x32.mat": "md5:e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "md5:eb5a983be6a315427106f1b164d9cef3",
}
_MOST_IMAGES = 80_000
_MIRRORS = ("http://ufldl.stanford.edu/housenumbers/",)


def load_svhn(data_dir: Path | None = None) -> Dataset:
    """Load the training and test split; the 531,131 easier extra images are left out, as in the capsule papers.

    Raises:
        UserError: files that are missing or fail a check.
    """
    paths = find_files("svhn", _CHECKSUMS, _MIRRORS, data_dir)
    train, test = (read_split(paths[file]) for file in _CHECKSUMS)
    return Dataset("svhn", train, test)


def read_split(path: Path) -> ImageData:
    """Read one file: `X`, 32x32x3xn bytes, and `y`, n labels, in which 10 stands for the digit 0.

    Raises:
        UserError: a file that is truncated, mislabelled or of another shape.
    """
    with open_packed(path) as read:
        values = read_matlab(read, str(path), {"X": _MOST_IMAGES * 3 * 32 * 32, "y": _MOST_IMAGES * 8})
    pixels, labels = values["X"], values["y"].reshape(-1)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[:3] != (32, 32, 3):
        got = f"{'x'.join(map(str, pixels.shape))} of {pixels.dtype}"
        raise UserError(f"{path}: its X must be 32x32x3xn of uint8, got {got}; is it the cropped-digits file?")
    if len(labels) != pixels.shape[3]:
        raise UserError(f"{path} holds {pixels.shape[3]:,} images but {len(labels):,} labels; fetch it again")
    wrong = labels[~np.isin(labels, np.arange(1, 11))]
    if len(wrong):
        raise UserError(f"{path}: labels must be 1 to 10 (10 for the digit 0), got {wrong[0]:g}; fetch it again")
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(3, 2, 0, 1)))
    return ImageData(images, torch.from_numpy(labels.astype(np.int64) % 10), tuple("0123456789"))


def find_svhn(data_dir: Path | None = None) -> Path | None:
    """The folder that holds both files, or None."""
    return find_folder("svhn", tuple(_CHECKSUMS), data_dir)


DATASETS.add("svhn", Source(load_svhn, "73,257 + 26,032 digits of house numbers in colour, 32x32", find_svhn))

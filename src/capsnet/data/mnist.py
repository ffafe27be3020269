"""MNIST and data sets in its format.

LeCun, Cortes, Burges, "The MNIST database of handwritten digits", 1998. Xiao, Rasul, Vollgraf, "Fashion-MNIST",
2017. Clanuwat et al., "Deep Learning for Classical Japanese Literature", 2018 (KMNIST).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from capsnet.data.dataset import DATASETS, Dataset, Preparation, Source
from capsnet.data.download import find_files, find_folder
from capsnet.data.idx import read_image_data

_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


@dataclass(frozen=True)
class IdxSource:
    """A data set of four IDX files."""

    name: str
    checksums: Mapping[str, str]
    mirrors: tuple[str, ...]
    class_names: tuple[str, ...]
    preparation: Preparation

    def load(self, data_dir: Path | None = None) -> Dataset:
        """Find or download the files, and read them."""
        paths = find_files(self.name, self.checksums, self.mirrors, data_dir)
        train_images, train_labels, test_images, test_labels = (paths[file] for file in _FILES)
        train = read_image_data(train_images, train_labels, self.class_names)
        test = read_image_data(test_images, test_labels, self.class_names)
        return Dataset(self.name, train, test, self.preparation)

    def find(self, data_dir: Path | None = None) -> Path | None:
        """The folder that holds all four files, or None."""
        return find_folder(self.name, _FILES, data_dir)


def _checksums(*md5: str) -> dict[str, str]:
    return {file: f"md5:{digest}" for file, digest in zip(_FILES, md5, strict=True)}


MNIST = IdxSource(
    "mnist",
    _checksums(
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    tuple("0123456789"),
    "digit",
)
FASHION_MNIST = IdxSource(
    "fashion-mnist",
    _checksums(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
    "fit",
)
KMNIST = IdxSource(
    "kmnist",
    _checksums(
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
    ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
    ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    "digit",
)
DATASETS.add("mnist", Source(MNIST.load, "60,000 + 10,000 handwritten digits, 28x28", MNIST.find))
DATASETS.add(
    "fashion-mnist", Source(FASHION_MNIST.load, "60,000 + 10,000 pieces of clothing, 28x28", FASHION_MNIST.find)
)
DATASETS.add("kmnist", Source(KMNIST.load, "60,000 + 10,000 cursive Japanese characters, 28x28", KMNIST.find))

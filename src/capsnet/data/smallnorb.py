"""smallNORB: stereo photographs of toys from many viewpoints.

LeCun, Huang, Bottou, "Learning Methods for Generic Object Recognition with Invariance to Pose and Lighting", CVPR 2004.
The files end in `.mat` but are not MATLAB's: a magic number, the number of axes, at least three sizes, then the array
in C order, all little-endian.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from capsnet.data.dataset import DATASETS, Dataset, ImageData, Source
from capsnet.data.download import find_files, find_folder
from capsnet.data.files import open_packed, read_most, read_values
from capsnet.errors import UserError

CLASS_NAMES = ("animal", "human", "airplane", "truck", "car")
INFO = ("instance", "elevation", "azimuth", "lighting")
"""Columns of `ImageData.info`: index of the toy (0 to 9), elevation (0 to 8: 30 to 70 degrees in steps of 5), azimuth
(0 to 34, even: times 10 degrees) and lighting (0 to 5)."""
_INSTANCES = {"training": (4, 6, 7, 8, 9), "testing": (0, 1, 2, 3, 5)}
_LIMITS = (9, 8, 34, 5)
_MOST_PAIRS = 24_300
_STEMS = {
    "training": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "testing": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
_KINDS = {0x1E3D4C55: np.dtype("u1"), 0x1E3D4C54: np.dtype("<i4")}
_CHECKSUMS = {
    f"{_STEMS[split]}-{part}.mat.gz": f"sha256:{digest}"
    for split, part, digest in (
        ("training", "dat", "5ffd6272a07d32695ee1082a26a41a93a37aab8c28da047f8c34ed348d214873"),
        ("training", "cat", "2784e542c1922060691090952b6cd6278879a216c90f81476f0f00256d42cdaa"),
        ("training", "info", "de7eb932ebe7a4ee16217fead60660d0eb3d23632c2f4d1c51f88c501c17bf32"),
        ("testing", "dat", "cf7104eed3e51174d2f65b66d1e5878b9da233b886f161b0d88f4510ba2c7474"),
        ("testing", "cat", "ecaf6d5bb8c3bc5eab9cf0258f6d2198dd474e016e374836fc097f2e5ff509ff"),
        ("testing", "info", "16adf314226327ee006d1a44db8cfef52773c06c829951d5653a9f6f310248a2"),
    )
}
_MIRRORS = ("https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/",)


def load_smallnorb(data_dir: Path | None = None) -> Dataset:
    """Load the stereo pairs; the two views are the two channels of one image of 96x96 pixels.

    `ImageData.info` holds the toy, the viewpoint and the lighting of each image, in the columns `INFO`.

    Raises:
        UserError: files that are missing or fail a check.
    """
    paths = find_files("smallnorb", _CHECKSUMS, _MIRRORS, data_dir)
    train, test = (
        _read_split(split, *(paths[f"{stem}-{part}.mat.gz"] for part in ("dat", "cat", "info")))
        for split, stem in _STEMS.items()
    )
    return Dataset("smallnorb", train, test)


def find_smallnorb(data_dir: Path | None = None) -> Path | None:
    """The folder that holds all six files, or None."""
    return find_folder("smallnorb", tuple(_CHECKSUMS), data_dir)


def load_viewpoints(column: str, familiar: tuple[int, ...], data_dir: Path | None = None) -> Dataset:
    """Load the training images of familiar viewpoints, and the test images of all other viewpoints.

    Hinton, Sabour, Frosst, "Matrix capsules with EM routing", ICLR 2018, section 5: generalisation to new viewpoints.
    The test toys are also new.

    Args:
        column: a name in `INFO`.
        familiar: the values of this column in training.
        data_dir: folder that holds the data set's folder.

    Raises:
        UserError: files that are missing or fail a check, or a split without images.
    """
    whole = load_smallnorb(data_dir)
    parts = []
    for part, wanted in ((whole.train, True), (whole.test, False)):
        assert part.info is not None
        known = torch.isin(part.info[:, INFO.index(column)], torch.tensor(familiar))
        parts.append(part.select((known == wanted).nonzero()[:, 0]))
    train, test = parts
    return Dataset(f"smallnorb-{column}", train, test)


def read_norb(path: Path, kind: np.dtype, sizes: tuple[int | None, ...]) -> Tensor:
    """Read one file.

    Args:
        path: the file, packed (`.gz`) or plain.
        kind: type of the values, unsigned bytes or 32-bit integers.
        sizes: required sizes of the axes; None for any size.

    Raises:
        UserError: a file that is missing or truncated, or has another type or shape.
    """
    with open_packed(path) as read:
        header = read_most(read, 8 + 4 * max(len(sizes), 3))
        shape = _read_shape(path, header, kind, sizes)
        return torch.from_numpy(read_values(read, path, header, shape, kind))


def _read_shape(path: Path, data: bytearray, kind: np.dtype, sizes: tuple[int | None, ...]) -> tuple[int, ...]:
    """The sizes in the header."""
    if len(data) < 8:
        raise UserError(f"{path}: truncated in the header, {len(data)} bytes; fetch it again")
    magic, axes = (int(value) for value in np.frombuffer(data, "<i4", 2))
    if _KINDS.get(magic) != kind:
        raise UserError(
            f"{path}: magic number must be {_magic(kind):08x} ({kind.name} values), got {magic & 0xFFFFFFFF:08x}; "
            "is it the correct file of smallNORB?"
        )
    if axes != len(sizes) or len(data) < 8 + 4 * max(axes, 3):
        raise UserError(f"{path} must have {len(sizes)} axes, got {axes} in {len(data)} bytes; fetch it again")
    shape = tuple(int(size) for size in np.frombuffer(data, "<i4", offset=8)[:axes])
    if shape[0] < 1 or any(size not in (None, got) for size, got in zip(sizes, shape, strict=True)):
        wanted = "x".join("n" if size is None else str(size) for size in sizes)
        raise UserError(f"{path} must be {wanted}, its header says {'x'.join(map(str, shape))}; fetch it again")
    if shape[0] > _MOST_PAIRS:
        raise UserError(
            f"{path} must be at most {_MOST_PAIRS:,} rows, its header says {'x'.join(map(str, shape))}; fetch it again"
        )
    return shape


def _magic(kind: np.dtype) -> int:
    return next(magic for magic, known in _KINDS.items() if known == kind)


def _read_split(split: str, dat: Path, cat: Path, info: Path) -> ImageData:
    images = read_norb(dat, np.dtype("u1"), (None, 2, 96, 96))
    labels = read_norb(cat, np.dtype("<i4"), (None,)).long()
    places = read_norb(info, np.dtype("<i4"), (None, len(INFO))).long()
    for path, part, noun in ((cat, labels, "labels"), (info, places, "rows")):
        if len(part) != len(images):
            raise UserError(f"{dat} holds {len(images):,} pairs but {path} {len(part):,} {noun}; fetch both again")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(CLASS_NAMES):
        raise UserError(f"{cat}: labels must be 0 to {len(CLASS_NAMES) - 1}, got {low} to {high}; fetch it again")
    for column, limit in enumerate(_LIMITS):
        low, high = int(places[:, column].min()), int(places[:, column].max())
        if low < 0 or high > limit:
            raise UserError(f"{info}: {INFO[column]} must be 0 to {limit}, got {low} to {high}; fetch it again")
    strangers = sorted(set(places[:, 0].tolist()) - set(_INSTANCES[split]))
    if strangers:
        known = ", ".join(map(str, _INSTANCES[split]))
        raise UserError(
            f"{info}: the {split} files hold the instances {known}, this one has {strangers[0]}; "
            "are the training and the testing files exchanged?"
        )
    return ImageData(images, labels, CLASS_NAMES, places)


DATASETS.add(
    "smallnorb", Source(load_smallnorb, "24,300 + 24,300 stereo pairs of toys of five kinds, 2x96x96", find_smallnorb)
)
_FAMILIAR = {"azimuth": (0, 2, 4, 30, 32, 34), "elevation": (0, 1, 2)}

for _column, _familiar in _FAMILIAR.items():
    DATASETS.add(
        f"smallnorb-{_column}",
        Source(
            partial(load_viewpoints, _column, _familiar),
            f"smallNORB: trained on a third of the {_column}s, tested on the others",
            find_smallnorb,
            made_from="smallnorb",
        ),
    )

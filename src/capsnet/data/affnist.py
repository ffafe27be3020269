"""affNIST: trained on MNIST, tested on digits that were turned, sheared, scaled and moved.

Tieleman, "affNIST", 2013 (www.cs.toronto.edu/~tijmen/affNIST). Sabour, Frosst, Hinton, NeurIPS 2017, section 5.2.
"""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from capsnet.data.dataset import DATASETS, Dataset, ImageData, Source
from capsnet.data.download import data_folders
from capsnet.data.files import read_bytes
from capsnet.data.frame import pad_images
from capsnet.data.matlab import read_matlab
from capsnet.data.mnist import MNIST
from capsnet.errors import UserError

SIDE, PADDING = 40, 6
_ADDRESS = "https://www.cs.toronto.edu/~tijmen/affNIST/32x/transformed/"
_WHOLE = ("test.mat", "test.mat.zip", "test_batches.zip")
_BATCHES = "test_batches"


def load_affnist(data_dir: Path | None = None) -> Dataset:
    """Load MNIST's training images in the middle of 40x40 pixels, and affNIST's transformed test images.

    The folder `affnist/` (or `transformed/` in it) holds one of `test.mat`, `test.mat.zip`, `test_batches.zip`, or the
    folder `test_batches/` with `1.mat` to `32.mat`; the first that is there is read. MNIST is found as always.

    Raises:
        UserError: files that are missing or fail a check.
    """
    source = find_test_set(data_dir)
    if source is None:
        raise UserError(
            f"{data_folders('affnist', data_dir)[0]}: holds no affNIST test set; fetch {_ADDRESS}test.mat.zip into "
            "that folder by hand (it is not downloaded: no checksum of it is published), or use affnist-like, made "
            "from MNIST"
        )
    return Dataset("affnist", padded_mnist(data_dir).train, _read(source), "digit", transformed_test=True)


def padded_mnist(data_dir: Path | None = None) -> Dataset:
    """MNIST in the middle of 40x40 pixels."""
    mnist = MNIST.load(data_dir)
    train, test = (
        ImageData(pad_images(part.images, PADDING), part.labels, part.class_names) for part in (mnist.train, mnist.test)
    )
    return Dataset("mnist", train, test, "digit")


def read_mat(data: bytes | bytearray, name: str) -> ImageData:
    """Read one `.mat` file: a struct `affNISTdata` with `image`, 1600xn bytes, and `label_int`, n digits.

    A column of `image` holds the pixels of a digit in MATLAB's order, one column of pixels after the other.

    Raises:
        UserError: a file that is truncated, mislabelled or of the wrong shape.
    """
    struct = read_matlab(data, name, "affNISTdata")["affNISTdata"]
    fields = struct.dtype.names or ()
    for field in ("image", "label_int"):
        if field not in fields or struct.size != 1:
            raise UserError(f"{name}: affNISTdata must be one struct with a field {field!r}; is it the official file?")
    pixels, labels = struct["image"].item(), struct["label_int"].item().reshape(-1)
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[0] != SIDE * SIDE:
        got = f"{'x'.join(map(str, pixels.shape))} of {pixels.dtype}"
        raise UserError(f"{name}: its image must be {SIDE * SIDE}xn of uint8 (40x40 pixels), got {got}; fetch it again")
    if labels.dtype.kind not in "uif" or len(labels) != pixels.shape[1]:
        raise UserError(
            f"{name}: holds {pixels.shape[1]:,} images but {len(labels):,} labels of {labels.dtype}; fetch it again"
        )
    wrong = labels[~np.isin(labels, np.arange(10))]
    if len(wrong):
        raise UserError(f"{name}: labels must be 0 to 9, got {wrong[0]:g}; fetch it again")
    columns = torch.from_numpy(np.ascontiguousarray(pixels.T)).view(-1, 1, SIDE, SIDE)
    return ImageData(columns.mT.contiguous(), torch.from_numpy(labels.astype(np.int64)), tuple("0123456789"))


def find_test_set(data_dir: Path | None = None) -> Path | None:
    """Where affNIST's test set lies, or None; nothing is read."""
    folders = data_folders("affnist", data_dir)
    for folder in [place for root in folders for place in (root, root / "transformed")]:
        for path in [folder / name for name in _WHOLE]:
            if path.is_file():
                return path
        if (folder / _BATCHES).is_dir():
            return folder / _BATCHES
    return None


def find_affnist(data_dir: Path | None = None) -> Path | None:
    """Where affNIST's test set lies, or None where that, or MNIST to train on, is not at hand."""
    return find_test_set(data_dir) if MNIST.find(data_dir) else None


def _read(source: Path) -> ImageData:
    parts = [read_mat(content, name) for content, name in _contents(source)]
    if len(parts) == 1:
        return parts[0]
    images, labels = (torch.cat(list(tensors)) for tensors in zip(*((p.images, p.labels) for p in parts), strict=True))
    return ImageData(images, labels, parts[0].class_names)


def _contents(source: Path) -> Iterator[tuple[bytes | bytearray, str]]:
    """The `.mat` files of a source, in order, each with its name for messages."""
    if source.is_dir():
        names = _in_order([path.name for path in source.glob("*.mat")], source)
        yield from ((read_bytes(source / name), str(source / name)) for name in names)
    elif source.suffix == ".zip":
        yield from _members(source)
    else:
        yield read_bytes(source), str(source)


def _members(source: Path) -> Iterator[tuple[bytes, str]]:
    try:
        with zipfile.ZipFile(source) as archive:
            members = {Path(name).name: name for name in archive.namelist() if _is_mat(name)}
            for name in _in_order(list(members), source):
                yield archive.read(members[name]), f"{source}: {members[name]}"
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as fault:
        raise UserError(f"{source}: truncated or corrupt zip archive ({fault}); fetch it again") from None


def _is_mat(name: str) -> bool:
    path = Path(name)
    return path.suffix == ".mat" and not path.name.startswith(".") and "__MACOSX" not in path.parts


def _in_order(names: list[str], source: Path) -> list[str]:
    """`test.mat` alone, or `1.mat`, `2.mat` and so on without a gap."""
    if not names:
        raise UserError(f"{source}: holds no .mat file; it must be affNIST's transformed test set")
    if names == ["test.mat"]:
        return names
    expected = [f"{number}.mat" for number in range(1, len(names) + 1)]
    missing = sorted(set(expected) - set(names))
    if missing:
        raise UserError(f"{source}: holds {len(names)} .mat files but no {missing[0]}; fetch it again")
    return expected


DATASETS.add(
    "affnist",
    Source(load_affnist, "MNIST to train on, affNIST's 320,000 transformed digits as test, 40x40", find_affnist),
)

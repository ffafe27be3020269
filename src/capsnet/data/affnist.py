"""affNIST: trained on MNIST, tested on digits that were turned, sheared, scaled and moved.

Tieleman, "affNIST", 2013 (www.cs.toronto.edu/~tijmen/affNIST). Sabour, Frosst, Hinton, NeurIPS 2017, section 5.2.
"""

import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from capsnet.data.dataset import DATASETS, Dataset, ImageData, Source
from capsnet.data.download import data_folders
from capsnet.data.files import Read, open_packed
from capsnet.data.frame import pad_images
from capsnet.data.matlab import read_matlab
from capsnet.data.mnist import MNIST
from capsnet.errors import UserError

SIDE, PADDING = 40, 6
# each in 32 variants
_ORIGINALS = 10_000
_ADDRESS = "https://www.cs.toronto.edu/~tijmen/affNIST/32x/transformed/"
_WHOLE = ("test.mat", "test.mat.zip", "test_batches.zip")
_BATCHES = "test_batches"
_MOST_IMAGES = 320_000
# all errors that a damaged zip archive can raise
_ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    OverflowError,
    UnicodeDecodeError,
)
_MOST_BYTES = 1 << 30


def load_affnist(data_dir: Path | None = None) -> Dataset:
    """Load MNIST's training images in the middle of 40x40 pixels, and affNIST's transformed test images.

    The folder `affnist/` (or `transformed/` in it) holds one of `test.mat`, `test.mat.zip`, `test_batches.zip`, or the
    folder `test_batches/` with `1.mat`, `2.mat` and so on (officially 32); the first that exists is read, and a note
    tells if images are missing. MNIST is read from its own folder.

    Raises:
        UserError: files that are missing or fail a check.
    """
    source = find_test_set(data_dir)
    if source is None:
        raise UserError(
            f"{data_folders('affnist', data_dir)[0]} holds no affNIST test set; fetch {_ADDRESS}test.mat.zip into "
            "that folder by hand (it is not downloaded: no checksum of it is published), or use affnist-like, made "
            "from MNIST"
        )
    train, test = padded_mnist(data_dir).train, replace(_read(source), originals=_ORIGINALS)
    notes: tuple[str, ...] = ()
    if len(test) != _MOST_IMAGES:
        notes = (f"affNIST has {_MOST_IMAGES:,} test images, {source} {len(test):,}.",)
    return Dataset("affnist", train, test, "digit", transformed_test=True, notes=notes)


def padded_mnist(data_dir: Path | None = None) -> Dataset:
    """MNIST in the middle of 40x40 pixels."""
    mnist = MNIST.load(data_dir)
    train, test = (
        ImageData(pad_images(part.images, PADDING), part.labels, part.class_names) for part in (mnist.train, mnist.test)
    )
    return Dataset("mnist", train, test, "digit")


def read_mat(read: Read, name: str, most: int = _MOST_IMAGES) -> ImageData:
    """Read one `.mat` file: a struct `affNISTdata` with `image`, 1600xn bytes, and `label_int`, n digits.

    A column of `image` holds the pixels of a digit in MATLAB's order, one column of pixels after the other.

    Args:
        read: returns the next bytes of the file.
        name: the file's name, for messages.
        most: the largest number of images to accept.

    Raises:
        UserError: a file that is truncated, mislabelled or of another shape.
    """
    sizes = {"affNISTdata.image": most * SIDE * SIDE, "affNISTdata.label_int": most * 8}
    pixels, labels = read_matlab(read, name, sizes).values()
    labels = labels.reshape(-1)
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[0] != SIDE * SIDE:
        got = f"{'x'.join(map(str, pixels.shape))} of {pixels.dtype}"
        raise UserError(f"{name}: its image must be {SIDE * SIDE}xn of uint8 (40x40 pixels), got {got}; fetch it again")
    if len(labels) != pixels.shape[1]:
        raise UserError(f"{name} holds {pixels.shape[1]:,} images but {len(labels):,} labels; fetch it again")
    wrong = labels[~np.isin(labels, np.arange(10))]
    if len(wrong):
        raise UserError(f"{name}: labels must be 0 to 9, got {wrong[0]:g}; fetch it again")
    images = torch.from_numpy(np.ascontiguousarray(pixels.T)).view(-1, 1, SIDE, SIDE)
    # in place: the images take half a gigabyte
    for part in torch.split(images, 1000):
        part.copy_(part.mT.clone())
    return ImageData(images, torch.from_numpy(labels.astype(np.int64)), tuple("0123456789"))


def find_test_set(data_dir: Path | None = None) -> Path | None:
    """The path of affNIST's test set, or None; nothing is read."""
    folders = data_folders("affnist", data_dir)
    for folder in [place for root in folders for place in (root, root / "transformed")]:
        for path in [folder / name for name in _WHOLE]:
            if path.is_file():
                return path
        if (folder / _BATCHES).is_dir():
            return folder / _BATCHES
    return None


def find_affnist(data_dir: Path | None = None) -> Path | None:
    """The path of affNIST's test set, or None if it or MNIST, for training, is missing."""
    return find_test_set(data_dir) if MNIST.find(data_dir) else None


def _read(source: Path) -> ImageData:
    """Read the `.mat` files of a source, in order."""
    parts: list[ImageData] = []

    def add(read: Read, name: str) -> None:
        parts.append(read_mat(read, name, _MOST_IMAGES - sum(map(len, parts))))
        # an archive's checksum is checked when its last byte is read
        while read(1 << 20):
            pass

    if source.suffix == ".zip":
        _read_members(source, add)
    else:
        folder = source.is_dir()
        names = _in_order([path.name for path in source.glob("*.mat")], source) if folder else [source.name]
        for path in ((source if folder else source.parent) / name for name in names):
            with open_packed(path) as read:
                add(read, str(path))
    if len(parts) == 1:
        return parts[0]
    images, labels = (torch.cat(list(tensors)) for tensors in zip(*((p.images, p.labels) for p in parts), strict=True))
    return ImageData(images, labels, parts[0].class_names)


def _read_members(source: Path, add: Callable[[Read, str], None]) -> None:
    """Call `add` for each `.mat` file of a zip archive, in order, with its name for messages."""
    try:
        with zipfile.ZipFile(source) as archive:
            members: dict[str, zipfile.ZipInfo] = {}
            for member in archive.infolist():
                if _is_mat(member.filename):
                    _check_member(member, source)
                    if members.setdefault(Path(member.filename).name, member) is not member:
                        raise UserError(f"{source} holds {member.filename!r} more than once; fetch it again")
            for name in _in_order(list(members), source):
                with archive.open(members[name]) as file:
                    add(file.read, f"{source}: {members[name].filename}")
    except _ZIP_FAULTS as fault:
        reason = " ".join(str(fault).split())[:120] or type(fault).__name__
        raise UserError(f"{source}: truncated or corrupt zip archive ({reason}); fetch it again") from None


def _check_member(member: zipfile.ZipInfo, source: Path) -> None:
    """Refuse a member of an archive that affNIST's archive cannot contain."""
    path, fault = PurePosixPath(member.filename), ""
    if path.is_absolute() or ".." in path.parts or not member.filename.isprintable():
        fault = "has a name that leads out of it"
    elif member.flag_bits & 1:
        fault = "is encrypted"
    elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        fault = f"is packed by method {member.compress_type}, not by deflate"
    elif member.file_size > _MOST_BYTES:
        fault = f"is {member.file_size:,} bytes large, more than {_MOST_BYTES:,}"
    if fault:
        raise UserError(f"{source}: its member {member.filename[:80]!r} {fault}; fetch the official archive again")


def _is_mat(name: str) -> bool:
    path = Path(name)
    return path.suffix == ".mat" and not path.name.startswith(".") and "__MACOSX" not in path.parts


def _in_order(names: list[str], source: Path) -> list[str]:
    """`test.mat` alone, or `1.mat`, `2.mat` and so on without a gap."""
    if not names:
        raise UserError(f"{source} holds no .mat file; it must be affNIST's transformed test set")
    if names == ["test.mat"]:
        return names
    expected = [f"{number}.mat" for number in range(1, len(names) + 1)]
    missing = sorted(set(expected) - set(names))
    if missing:
        raise UserError(f"{source} holds {len(names)} .mat files but no {missing[0]}; fetch it again")
    return expected


DATASETS.add(
    "affnist",
    Source(load_affnist, "MNIST to train on, affNIST's 320,000 transformed digits as test, 40x40", find_affnist),
)

"""CIFAR-10 in its binary version. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

A record is one byte, the label, and 3,072 bytes, the red, the green and the blue plane of 32x32 pixels. Five files of
10,000 records are the training split, one is the test split.
"""

import tarfile
import zlib
from pathlib import Path

import numpy as np
import torch

from capsnet.data.dataset import DATASETS, Dataset, ImageData, Source
from capsnet.data.download import data_folders, find_files, find_folder, find_stored
from capsnet.data.files import read_bytes
from capsnet.errors import UserError

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_FILES = (*_TRAIN, "test_batch.bin")
_FOLDER = "cifar-10-batches-bin"
_ARCHIVE = "cifar-10-binary.tar.gz"
_CHECKSUMS = {_ARCHIVE: "md5:c32a1d4ab5d03f1284b67883e8d87530"}
_MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32


def load_cifar10(data_dir: Path | None = None) -> Dataset:
    """Load CIFAR-10 from its six `.bin` files, from the folder they come in, or from the archive as it is.

    Raises:
        UserError: files that are missing, truncated, mislabelled or of unequal length.
    """
    parts = _read_all(data_dir)
    counts = {name: len(part) for name, part in parts.items()}
    most = max(counts.values())
    for name, count in counts.items():
        if count != most:
            raise UserError(f"{name}: truncated, it holds {count:,} records, the others {most:,}; fetch it again")
    *train, test = parts.values()
    merged = ImageData(
        torch.cat([part.images for part in train]), torch.cat([part.labels for part in train]), CLASS_NAMES
    )
    return Dataset("cifar10", merged, test)


def read_records(data: bytearray, name: str) -> ImageData:
    """Read the content of a `.bin` file.

    Args:
        data: what the file holds.
        name: of the file, for messages.

    Raises:
        UserError: not whole records, or a label above 9.
    """
    if len(data) == 0 or len(data) % _RECORD:
        raise UserError(
            f"{name}: must hold whole records of {_RECORD:,} bytes (CIFAR-10 binary version), got {len(data):,} bytes; "
            "it is truncated or another version, fetch it again"
        )
    records = torch.from_numpy(np.frombuffer(data, np.uint8).reshape(-1, _RECORD))
    labels = records[:, 0].long()
    if int(labels.max()) >= len(CLASS_NAMES):
        worst = int(labels.argmax())
        raise UserError(f"{name}: labels must be 0 to 9, got {int(labels[worst])} in record {worst}; fetch it again")
    return ImageData(records[:, 1:].reshape(-1, *_SHAPE), labels, CLASS_NAMES)


def find_cifar10(data_dir: Path | None = None) -> Path | None:
    """The folder that holds the six files or the archive, or None."""
    forms = (_FILES, [f"{_FOLDER}/{file}" for file in _FILES], [_ARCHIVE])
    folders = (find_folder("cifar10", files, data_dir) for files in forms)
    return next((folder for folder in folders if folder is not None), None)


def _read_all(data_dir: Path | None) -> dict[str, ImageData]:
    """What each file holds, by its name for messages, in the order of `_FILES`."""
    for prefix in ("", f"{_FOLDER}/"):
        files = [prefix + file for file in _FILES]
        found = find_stored("cifar10", files, data_dir)
        if found is not None:
            return {str(found[file]): read_records(read_bytes(found[file]), str(found[file])) for file in files}
        _check_whole(files, data_dir)
    archive = find_files("cifar10", _CHECKSUMS, _MIRRORS, data_dir)[_ARCHIVE]
    return {f"{archive}: {file}": read_records(data, f"{archive}: {file}") for file, data in _unpack(archive).items()}


def _check_whole(files: list[str], data_dir: Path | None) -> None:
    """Some of the files, but not all, are a fault of their own."""
    for folder in data_folders("cifar10", data_dir):
        missing = [file for file in files if not (folder / file).is_file()]
        if len(missing) < len(files):
            raise UserError(f"{folder / missing[0]}: no such file, though others of CIFAR-10 are there; fetch it again")


def _unpack(archive: Path) -> dict[str, bytearray]:
    members = {}
    try:
        with tarfile.open(archive) as tar:
            for file in _FILES:
                member = tar.extractfile(f"{_FOLDER}/{file}")
                if member is None:
                    raise KeyError(file)
                members[file] = bytearray(member.read())
    except KeyError:
        raise UserError(f"{archive}: holds no {_FOLDER}/{file}; it must be CIFAR-10's binary version") from None
    except (tarfile.TarError, EOFError, zlib.error, OSError) as fault:
        raise UserError(f"{archive}: truncated or corrupt archive ({fault}); fetch it again") from None
    return members


DATASETS.add("cifar10", Source(load_cifar10, "50,000 + 10,000 colour photographs of ten things, 32x32", find_cifar10))

"""The binary version of CIFAR-10 and CIFAR-100.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. A record is one byte for each label
(CIFAR-100 has two: superclass and class) and 3,072 bytes, the red, the green and the blue plane of 32x32 pixels.
"""

import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import torch

from capsnet.data.dataset import Dataset, ImageData
from capsnet.data.download import data_folders, find_files, find_folder, find_stored
from capsnet.data.files import Read, open_packed, read_bytes, read_most
from capsnet.errors import UserError

_MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_MOST_RECORDS = 60_000
# training and test images of the official files
_OFFICIAL = (50_000, 10_000)
# largest accepted archive, unpacked; the official archives hold 185 MB
_MOST_BYTES = 200_000_000
_TAR_FAULTS = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Cifar:
    """The files of CIFAR-10 or CIFAR-100.

    Args:
        name: name of the data set.
        title: its name in messages.
        train: files of the training split; if there are several, all files have the same length.
        test: file of the test split.
        folder: folder that holds these files.
        archive: archive that holds the folder.
        checksum: checksum of the archive.
        class_names: class names by label.
        label_bytes: label bytes in each record; the last one is the label.
    """

    name: str
    title: str
    train: tuple[str, ...]
    test: str
    folder: str
    archive: str
    checksum: str
    class_names: tuple[str, ...]
    label_bytes: int = 1

    def load(self, data_dir: Path | None = None) -> Dataset:
        """Load the data set from its `.bin` files, from `folder`, or from the packed archive.

        Raises:
            UserError: files that are missing, truncated, mislabelled or of unequal length.
        """
        *train, test = self._read_all(data_dir)
        images, labels = (torch.cat([getattr(part, name) for part in train]) for name in ("images", "labels"))
        notes: tuple[str, ...] = ()
        if (len(images), len(test)) != _OFFICIAL:
            official = f"{_OFFICIAL[0]:,} training and {_OFFICIAL[1]:,} test images"
            notes = (f"{self.title} has {official}, these files {len(images):,} and {len(test):,}.",)
        return Dataset(self.name, ImageData(images, labels, self.class_names), test, notes=notes)

    def find(self, data_dir: Path | None = None) -> Path | None:
        """The folder that holds the files or the archive, or None."""
        names = (*self.train, self.test)
        forms = (names, tuple(f"{self.folder}/{file}" for file in names), (self.archive,))
        folders = (find_folder(self.name, files, data_dir) for files in forms)
        return next((folder for folder in folders if folder is not None), None)

    def read_records(self, data: bytearray, name: str) -> ImageData:
        """Read the content of a `.bin` file.

        Args:
            data: the file's bytes.
            name: the file's name, for messages.

        Raises:
            UserError: an incomplete record, or a label without a class.
        """
        size, last = self.label_bytes + _PIXELS, len(self.class_names) - 1
        if len(data) == 0 or len(data) % size:
            raise UserError(
                f"{name} must hold whole records of {size:,} bytes ({self.title} binary version), got {len(data):,} "
                "bytes; it is truncated or another version, fetch it again"
            )
        records = torch.from_numpy(np.frombuffer(data, np.uint8).reshape(-1, size))
        labels = records[:, self.label_bytes - 1].long()
        if int(labels.max()) > last:
            worst = int(labels.argmax())
            raise UserError(
                f"{name}: labels must be 0 to {last}, got {int(labels[worst])} in record {worst}; fetch it again"
            )
        return ImageData(records[:, self.label_bytes :].reshape(-1, *_SHAPE), labels, self.class_names)

    def _read_all(self, data_dir: Path | None) -> list[ImageData]:
        """The records of each file, the training files first."""
        names = (*self.train, self.test)
        for prefix in ("", f"{self.folder}/"):
            files = [prefix + file for file in names]
            paths = find_stored(self.name, files, data_dir)
            if paths is not None:
                return self._read_parts({str(paths[file]): read_bytes(paths[file], self._most()) for file in files})
            self._check_whole(files, data_dir)
        archive = find_files(self.name, {self.archive: self.checksum}, _MIRRORS, data_dir)[self.archive]
        return self._read_parts({f"{archive}: {file}": data for file, data in self._unpack(archive, names).items()})

    def _most(self) -> int:
        """The size of all files together, an upper bound for the size of each."""
        return _MOST_RECORDS * (self.label_bytes + _PIXELS)

    def _read_parts(self, contents: dict[str, bytearray]) -> list[ImageData]:
        parts = {name: self.read_records(data, name) for name, data in contents.items()}
        most = max(len(part) for part in parts.values())
        for name, part in parts.items():
            if len(self.train) > 1 and len(part) != most:
                raise UserError(
                    f"{name}: truncated, it holds {len(part):,} records, the others {most:,}; fetch it again"
                )
        return list(parts.values())

    def _check_whole(self, files: list[str], data_dir: Path | None) -> None:
        """Refuse a folder that holds some of the files, but not all."""
        for folder in data_folders(self.name, data_dir):
            missing = [file for file in files if not (folder / file).is_file()]
            if len(missing) < len(files):
                raise UserError(
                    f"{folder / missing[0]}: no such file, though others of {self.title} are there; fetch it again"
                )

    def _unpack(self, archive: Path, names: tuple[str, ...]) -> dict[str, bytearray]:
        members: dict[str, bytearray] = {}
        wanted = {f"{self.folder}/{file}": file for file in names}
        try:
            with open_packed(archive) as read, tarfile.open(fileobj=cast(BinaryIO, _Limited(read)), mode="r|") as tar:
                for member in tar:
                    file = wanted.get(member.name.removeprefix("./"))
                    # a sparse member may declare any size and reads as zeros
                    content = tar.extractfile(member) if file and member.isreg() and not member.issparse() else None
                    if file and content:
                        members[file] = read_most(content.read, self._most() + 1)
        except UserError:
            raise
        except _TAR_FAULTS as fault:
            reason = " ".join(str(fault).split())[:120]
            raise UserError(f"{archive}: truncated or corrupt archive ({reason}); fetch it again") from None
        for file in names:
            if file not in members:
                raise UserError(f"{archive} holds no {self.folder}/{file}; it must be {self.title}'s binary version")
        return {file: members[file] for file in names}


class _Limited:
    """A stream for tarfile that raises an error once an archive unpacks to more bytes than the official ones."""

    def __init__(self, read: Read) -> None:
        self._read, self._count = read, 0

    def read(self, count: int) -> bytes:
        """The next bytes."""
        data = self._read(count)
        self._count += len(data)
        if self._count > _MOST_BYTES:
            raise tarfile.ReadError(f"more than {_MOST_BYTES:,} bytes unpacked")
        return data

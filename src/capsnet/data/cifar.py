"""The binary version of CIFAR-10 and CIFAR-100.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. A record is one byte for each label
(CIFAR-100 has two, of the kind and of the thing) and 3,072 bytes, the red, the green and the blue plane of 32x32
pixels.
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
# of an archive, unpacked; the official ones hold 185 MB
_MOST_BYTES = 200_000_000
_TAR_FAULTS = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Cifar:
    """The files of one of the two.

    Args:
        name: of the data set.
        title: in messages.
        train: files of the training split; where there are several, all files are of one length.
        test: file of the test split.
        folder: that they come in.
        archive: that the folder comes in.
        checksum: of the archive.
        class_names: by label.
        label_bytes: of a record; the last is the label.
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
        """Load the data set from its `.bin` files, from the folder they come in, or from the archive as it is.

        Raises:
            UserError: files that are missing, truncated, mislabelled or of unequal length.
        """
        *train, test = self._read_all(data_dir)
        images, labels = (torch.cat([getattr(part, name) for part in train]) for name in ("images", "labels"))
        return Dataset(self.name, ImageData(images, labels, self.class_names), test)

    def find(self, data_dir: Path | None = None) -> Path | None:
        """The folder that holds the files or the archive, or None."""
        names = (*self.train, self.test)
        forms = (names, tuple(f"{self.folder}/{file}" for file in names), (self.archive,))
        folders = (find_folder(self.name, files, data_dir) for files in forms)
        return next((folder for folder in folders if folder is not None), None)

    def read_records(self, data: bytearray, name: str) -> ImageData:
        """Read the content of a `.bin` file.

        Args:
            data: what the file holds.
            name: of the file, for messages.

        Raises:
            UserError: not whole records, or a label without a class.
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
        """What each file holds, the training files first."""
        names = (*self.train, self.test)
        for prefix in ("", f"{self.folder}/"):
            files = [prefix + file for file in names]
            found = find_stored(self.name, files, data_dir)
            if found is not None:
                return self._read_parts({str(found[file]): read_bytes(found[file], self._most()) for file in files})
            self._check_whole(files, data_dir)
        archive = find_files(self.name, {self.archive: self.checksum}, _MIRRORS, data_dir)[self.archive]
        return self._read_parts({f"{archive}: {file}": data for file, data in self._unpack(archive, names).items()})

    def _most(self) -> int:
        """Bytes of all files together, and so the most that one may hold."""
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
        """Some of the files, but not all, are a fault of their own."""
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
                    # a sparse file may state any size, and gives zeros for what it lacks
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
    """A stream for tarfile that ends in an error where an archive unpacks to more than the official ones."""

    def __init__(self, read: Read) -> None:
        self._read, self._count = read, 0

    def read(self, count: int) -> bytes:
        """The next bytes."""
        data = self._read(count)
        self._count += len(data)
        if self._count > _MOST_BYTES:
            raise tarfile.ReadError(f"more than {_MOST_BYTES:,} bytes unpacked")
        return data

"""Image files by their names, wherever they lie: in a folder, in tar archives, or in the rows of a table."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol, runtime_checkable

from capsnet.errors import UserError

_KEY_BYTES = 16


@runtime_checkable
class ImageFiles(Protocol):
    """Where image files are read from."""

    @property
    def place(self) -> str:
        """Where they lie, the same from any working directory."""

    def locate(self, name: str) -> str:
        """The full name of a file, for messages."""

    def open(self, name: str) -> Path | BytesIO:
        """A file, or its contents.

        Raises:
            UserError: a file that cannot be an image, or cannot be read.
        """

    def keys(self, names: Sequence[str]) -> list[bytes]:
        """A key for each file, which changes with the file; a missing one has one, too."""


@dataclass(frozen=True)
class FolderFiles:
    """Files below a folder.

    Args:
        folder: of the data set.
    """

    folder: Path

    @property
    def place(self) -> str:
        """The folder, without links."""
        return str(self.folder.resolve())

    def locate(self, name: str) -> str:
        """The file's path."""
        return str(self.folder / name)

    def open(self, name: str) -> Path:
        """The path of a file that may be an image."""
        # only image files need Pillow
        from capsnet.data.formats import SUFFIXES

        path = self.folder / name
        if path.suffix.lower() not in SUFFIXES:
            raise UserError(f"{path} is not an image file")
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is not a regular file")
        return path

    def keys(self, names: Sequence[str]) -> list[bytes]:
        """Of each file's name, size and times of change."""
        return [make_key(name, *file_state(self.folder / name)) for name in names]


def file_state(path: Path) -> tuple[int, int, int]:
    """A file's size and times of change; three times -1 where it cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return -1, -1, -1
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def make_key(*values: object) -> bytes:
    """A hash of some values."""
    return hashlib.blake2b(repr(values).encode("utf-8", "surrogateescape"), digest_size=_KEY_BYTES).digest()


def digest_file(source: Path | BytesIO) -> bytes:
    """A hash of a file's contents.

    Raises:
        OSError: it cannot be read.
    """
    if not isinstance(source, Path):
        return hashlib.blake2b(source.getbuffer()).digest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=64)).digest()

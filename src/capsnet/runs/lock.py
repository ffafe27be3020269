"""A lock on a run's folder, so that one process at a time writes to it; the operating system releases it."""

import contextlib
import errno
import logging
import os
from pathlib import Path
from typing import TextIO

from capsnet.errors import UserError

_NAME = ".lock"


class FolderLock:
    """The lock of a run's folder, held from its creation until `release` or the end of the process.

    Args:
        folder: of the run; it must exist.
        shown: its name for messages, if different.

    Raises:
        UserError: another process holds the lock; the message names it.

    Example:
        >>> with FolderLock(Path("runs/quickstart")):
        ...     ...
    """

    def __init__(self, folder: Path, shown: Path | None = None) -> None:
        # absent on Windows
        import fcntl

        shown = shown or folder
        try:
            self._file: TextIO = (folder / _NAME).open("a+")
        except OSError as fault:
            raise UserError(f"{shown} cannot be written to ({fault.strerror})") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            if fault.errno in (errno.EWOULDBLOCK, errno.EACCES):
                holder = self._read()
                self._file.close()
                raise UserError(f"{shown}: {holder} is at work on this run; wait until it ends, or stop it") from None
            log = logging.getLogger("capsnet")
            log.warning("%s is not locked, its file system does not support locks (%s)", shown, fault.strerror)
        with contextlib.suppress(OSError):
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()} on {os.uname().nodename}")
            self._file.flush()

    def release(self) -> None:
        """Release the lock."""
        # keep the file: removing it would let two processes lock two files of the same name
        self._file.close()

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(self, *fault: object) -> None:
        self.release()

    def _read(self) -> str:
        self._file.seek(0)
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return self._file.read(200).strip() or "another process"
        return "another process"


def is_left_over(folder: Path) -> bool:
    """Whether a folder holds only remainders of a process that was killed before it wrote a configuration."""
    return folder.is_dir() and all(_is_temporary(path) for path in folder.iterdir())


def remove_left_over(folder: Path) -> None:
    """Remove a folder for which `is_left_over` is true."""
    for path in filter(_is_temporary, folder.iterdir()):
        path.unlink(missing_ok=True)
    # not empty if another process has begun a run here meanwhile
    with contextlib.suppress(OSError):
        folder.rmdir()


def _is_temporary(path: Path) -> bool:
    unfinished = path.name.startswith(".") and path.name.endswith(".part")
    return path.is_file() and (unfinished or path.name == _NAME)

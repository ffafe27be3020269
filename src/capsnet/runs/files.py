"""Atomic file writing: write a temporary file, then rename it."""

import contextlib
import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from capsnet.errors import UserError


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: if the process is killed, either the old or the new file remains.

    Raises:
        UserError: the disk is full or the folder is not writable; the old file is unchanged.
    """
    try:
        _write(path, data)
    except OSError as fault:
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"no space left on the disk for {path} ({len(data) / 1e6:.0f} MB); free some and repeat the "
                "command (a training: capsnet train --resume); earlier files are intact"
            ) from None
        raise UserError(f"{path} cannot be written ({fault.strerror})") from None


def _write(path: Path, data: bytes) -> None:
    temporary, file = _open_beside(path)
    # the file stays open, and thereby locked, until it has its name or is removed
    with file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            # this also fails on a read-only file system
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def _open_beside(path: Path) -> tuple[Path, BinaryIO]:
    """An empty file beside a path, which no other process or thread writes.

    Its name is fixed, so that the next writer clears what a killed one left behind; while one writes, the next one has
    a name of its own.
    """
    import fcntl

    temporary = path.with_name(f".{path.name}.part")
    file = temporary.open("ab")
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # since it was opened, another writer may have renamed it
        if os.path.samestat(temporary.stat(), os.fstat(file.fileno())):
            file.truncate(0)
            return temporary, file
    file.close()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    return temporary, temporary.open("xb")


def write_text(path: Path, text: str) -> None:
    r"""`write_bytes` of UTF-8; a byte of a file name that is not UTF-8 becomes `\udcff` or the like."""
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """`write_bytes` of indented JSON."""
    write_text(path, json.dumps(value, indent=2) + "\n")


@contextlib.contextmanager
def whole_output(out: Path) -> Iterator[Path]:
    """A temporary path beside `out` for a new file or folder, renamed to `out` when the block ends without an error.

    If the process is killed, `out` is either missing or complete, so that the same command can be repeated.

    Args:
        out: path of the new file or folder, which must not exist.

    Raises:
        UserError: it cannot be written, or exists by then.
    """
    beside = out.with_name(f".{out.stem}.{secrets.token_hex(4)}.part{out.suffix}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        if os.path.lexists(out):
            raise UserError(f"{out} exists; give another name")
        beside.rename(out)
    except BaseException:
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        else:
            # this also fails on a read-only file system
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
        raise

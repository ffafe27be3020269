"""Free space on a disk."""

import shutil
from pathlib import Path

from capsnet.errors import UserError


def free_space(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def check_space(folder: Path, needed: int, remedy: str) -> None:
    """Check that the disk has enough free space.

    Args:
        folder: folder of the files to write; it need not exist.
        needed: required bytes.
        remedy: what else helps than to free some.

    Raises:
        UserError: less space is free.
    """
    free = free_space(folder)
    if free < needed:
        raise UserError(
            f"{folder}: no space left on the disk, {needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are "
            f"free; free some, or {remedy}"
        )

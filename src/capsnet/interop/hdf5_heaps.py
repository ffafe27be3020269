"""A check of HDF5 files before the HDF5 library reads them: damage that would keep it reading without an end.

Texts of any length lie in global heaps. The library walks through the objects of a heap by their sizes, and does not
get on where an object that stands for free space claims none. HDF5 file format, version 3, section III.E.
"""

import mmap
from pathlib import Path

_MARK = b"GCOL\1"
_HEADER = 16


def check_heaps(source: Path | bytes) -> None:
    """Check the global heaps of a file.

    Args:
        source: the file, or its contents.

    Raises:
        ValueError: a heap that has no end.
    """
    if isinstance(source, bytes):
        _check(source)
    elif source.stat().st_size:
        with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _check(data)


def _check(data: bytes | mmap.mmap) -> None:
    start = data.find(_MARK)
    while start >= 0:
        # free space, if there is any, is the last object
        end = min(start + _number(data, start + 8, 8), len(data))
        position = start + _HEADER
        while position + _HEADER <= end and (index := _number(data, position, 2)):
            size = _number(data, position + 8, 8)
            position += _HEADER + -(-size // 8) * 8
        if position + _HEADER <= end and not index and _number(data, position + 8, 8) == 0:
            raise ValueError(f"the heap at byte {start:,} has no end")
        start = data.find(_MARK, start + 1)


def _number(data: bytes | mmap.mmap, position: int, size: int) -> int:
    return int.from_bytes(data[position : position + size], "little")

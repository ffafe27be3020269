"""A check of HDF5 files before the HDF5 library reads them: damage that costs it endless time, or memory.

Texts of any length lie in global heaps. The library walks through the objects of a heap by their sizes, and does not
get on where an object that stands for free space claims none. A text is stored as its length, the address of a heap and
the number of an object; the library allocates that length before it compares it with the object's size. HDF5 file
format, version 3, sections III.E and VIII.
"""

import mmap
from pathlib import Path

_MARK = b"GCOL\1"
_HEADER = 16
# each is looked for in the whole file; a heap of Keras holds a hundred names
_MOST_HEAPS = 1000


def check_heaps(source: Path | bytes) -> None:
    """Check the global heaps of a file.

    Args:
        source: the file, or its contents.

    Raises:
        ValueError: a heap that has no end, a text that is longer than the file, or more than 1,000 heaps.
    """
    if isinstance(source, bytes):
        _check(source)
    elif source.stat().st_size:
        with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _check(data)


def _check(data: bytes | mmap.mmap) -> None:
    start, heaps = data.find(_MARK), 0
    while start >= 0:
        heaps += 1
        if heaps > _MOST_HEAPS:
            raise ValueError(f"it has more than {_MOST_HEAPS:,} heaps of texts")
        _check_texts(data, start, _find_objects(data, start))
        start = data.find(_MARK, start + 1)


def _find_objects(data: bytes | mmap.mmap, start: int) -> set[int]:
    """Numbers of the objects of the heap at `start`."""
    objects: set[int] = set()
    # free space, if there is any, is the last object
    end = min(start + _number(data, start + 8, 8), len(data))
    position = start + _HEADER
    while position + _HEADER <= end and (index := _number(data, position, 2)):
        objects.add(index)
        size = _number(data, position + 8, 8)
        position += _HEADER + -(-size // 8) * 8
    if position + _HEADER <= end and not index and _number(data, position + 8, 8) == 0:
        raise ValueError(f"the heap at byte {start:,} has no end")
    return objects


def _check_texts(data: bytes | mmap.mmap, start: int, objects: set[int]) -> None:
    """Check the lengths of the texts that lie in the heap at `start`."""
    address = start.to_bytes(8, "little")
    position = data.find(address, 4)
    while position >= 0:
        length, index = _number(data, position - 4, 4), _number(data, position + 8, 4)
        if index in objects and length > len(data):
            raise ValueError(f"the text at byte {position - 4:,} has {length:,} bytes, more than the file")
        position = data.find(address, position + 1)


def _number(data: bytes | mmap.mmap, position: int, size: int) -> int:
    return int.from_bytes(data[position : position + size], "little")

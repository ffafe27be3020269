"""Files of data sets, gzipped (`.gz`) or plain, read in order up to a limit.

A small gzipped file can unpack to any number of bytes, so every reader sets a limit.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np

from capsnet.errors import UserError

Read = Callable[[int], bytes]
"""Returns up to the given number of next bytes; an empty result at the end."""
_CHUNK = 1 << 22


@contextmanager
def open_packed(path: Path) -> Iterator[Read]:
    """Open a file for sequential reading, unpacked if it ends in `.gz`.

    Raises:
        UserError: a file that is missing, unreadable, or truncated or corrupt gzip data; also raised inside the `with`
            block.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield file.read
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as fault:
        raise UserError(f"{path}: truncated or corrupt gzip data ({fault}); fetch it again") from None
    except OSError as fault:
        raise UserError(f"{path} cannot be read ({fault.strerror or fault})") from None


def read_most(read: Read, count: int) -> bytearray:
    """Read `count` bytes, or fewer at the end of the data. The result is writable, so it can back an array.

    Memory grows with the bytes actually read, not with `count`, which may come from a damaged header.
    """
    data = bytearray()
    while len(data) < count and (chunk := read(min(count - len(data), _CHUNK))):
        data += chunk
    return data


def read_values(read: Read, path: Path, header: bytearray, shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    """Read the values that a header announces, and check that the file ends with them.

    Args:
        read: reads what comes after the header.
        path: the file, for messages.
        header: as it was read.
        shape: the sizes in it.
        kind: type of the values.

    Raises:
        UserError: fewer or more values.
    """
    expected = kind.itemsize * prod(shape)
    data = read_most(read, expected + 1)
    if len(data) != expected:
        trouble = "truncated" if len(data) < expected else "too long"
        got = f"{len(header) + len(data)}" if len(data) < expected else "more"
        raise UserError(
            f"{path}: {trouble}, its header says {'x'.join(map(str, shape))}, that is {len(header) + expected} bytes, "
            f"got {got}; fetch it again"
        )
    return np.frombuffer(data, kind).reshape(shape)


def read_bytes(path: Path, most: int) -> bytearray:
    """Read a whole file of at most `most` bytes, unpacked if it ends in `.gz`.

    Raises:
        UserError: a larger file, or one that `open_packed` refuses.
    """
    with open_packed(path) as read:
        data = read_most(read, most + 1)
    if len(data) > most:
        raise UserError(f"{path} must hold at most {most:,} bytes, unpacked, got more; is it the official file?")
    return data

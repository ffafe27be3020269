"""Files of data sets, read whole, packed (`.gz`) or plain; a fault is told in one line that names the file."""

import gzip
import zlib
from pathlib import Path

from capsnet.errors import UserError

_CHUNK = 1 << 24


def read_bytes(path: Path) -> bytearray:
    """Read a file, unpacked if it ends in `.gz`; the result is writable, so that an array may lie in it.

    Raises:
        UserError: a file that is missing, cannot be read, or is truncated or corrupt gzip data.
    """
    data = bytearray()
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                data += chunk
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as fault:
        raise UserError(f"{path}: truncated or corrupt gzip data ({fault}); fetch it again") from None
    except OSError as fault:
        raise UserError(f"{path}: cannot be read ({fault.strerror or fault})") from None
    return data

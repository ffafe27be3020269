"""Images that were prepared before, kept in the user's cache, so that no photo is decoded at every run.

An entry belongs to a file's name, size and times of change; the file of the cache to the folder, the shape, the range
of values and the code that prepares images. A file that is damaged or cannot be written only costs time.
"""

import contextlib
import hashlib
import inspect
import logging
import os
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import PIL
import torch
from jaxtyping import UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from capsnet._version import __version__
from capsnet.cache import cache_dir, prune_cache
from capsnet.data import deep, formats, images, photo, pixels
from capsnet.data.dataset import Preparation

_KEY_BYTES = 16
_MOST_BYTES = 2 << 30


class PreparedImages:
    """The prepared images of one folder in one shape.

    Args:
        folder: of the data set.
        image_shape: channels, height and width.
        preparation: how a file becomes an image.
        pixel_range: values that become 0 and 255, or None.
    """

    def __init__(
        self,
        folder: Path,
        image_shape: tuple[int, int, int],
        preparation: Preparation,
        pixel_range: tuple[float, float] | None,
    ) -> None:
        words = (str(folder.resolve()), reader_version(), image_shape, preparation, pixel_range)
        name = hashlib.blake2b(repr(words).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        self._path = cache_dir() / "prepared" / f"{name}.safetensors"
        self._shape = image_shape

    def load(self) -> dict[bytes, UInt8[Tensor, "c h w"]]:
        """Images by the keys of their files; none where there is no cache, or a damaged one."""
        try:
            with safe_open(self._path, "pt") as file:
                keys, stacked = file.get_tensor("keys"), file.get_tensor("images")
                if (file.metadata() or {}).get("checksum") != _checksum(keys, stacked):
                    raise ValueError("the checksum differs")
            if keys.shape != (len(stacked), _KEY_BYTES) or stacked.shape[1:] != self._shape:
                raise ValueError("the shapes differ")
            os.utime(self._path)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, SafetensorError) as fault:
            logging.getLogger("capsnet").info(f"{self._path} cannot be used, images are read anew ({fault})")
            return {}
        return {bytes(key): image for key, image in zip(keys.numpy(), stacked, strict=True)}

    def save(self, entries: Mapping[bytes, UInt8[Tensor, "c h w"]]) -> None:
        """Keep images; a kill leaves the old file or the new one. More than a gigabyte is not kept."""
        stacked = torch.stack(list(entries.values()))
        if stacked.nbytes > _MOST_BYTES // 2:
            return
        keys = torch.frombuffer(bytearray(b"".join(entries)), dtype=torch.uint8).view(-1, _KEY_BYTES)
        beside = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # a name of its own: two processes may write at once
            number, name = tempfile.mkstemp(suffix=".part", dir=self._path.parent)
            os.close(number)
            beside = Path(name)
            save_file({"keys": keys, "images": stacked}, beside, {"checksum": _checksum(keys, stacked)})
            beside.replace(self._path)
            prune_cache(self._path.parent, _MOST_BYTES)
        except (OSError, SafetensorError) as fault:
            logging.getLogger("capsnet").info(f"{self._path}: prepared images are not kept ({fault})")
            if beside is not None:
                beside.unlink(missing_ok=True)


def file_keys(folder: Path, names: Sequence[str]) -> list[bytes]:
    """A key for each file, of its name, size and times of change; a missing file has one, too."""
    return [_file_key(folder / name, name) for name in names]


def _file_key(path: Path, name: str) -> bytes:
    try:
        status = path.stat()
        state = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    except OSError:
        state = (-1, -1, -1)
    return hashlib.blake2b(repr((name, *state)).encode("utf-8", "surrogateescape"), digest_size=_KEY_BYTES).digest()


def reader_version() -> str:
    """Changes with the code that decodes and prepares."""
    sources = ""
    with contextlib.suppress(OSError):
        sources = "".join(map(inspect.getsource, (deep, formats, images, photo, pixels)))
    return f"{__version__} {PIL.__version__} {hashlib.blake2b(sources.encode(), digest_size=8).hexdigest()}"


def _checksum(keys: Tensor, images: Tensor) -> str:
    return str(zlib.crc32(images.contiguous().numpy().data, zlib.crc32(keys.contiguous().numpy().data)))

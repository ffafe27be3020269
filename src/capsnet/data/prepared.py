"""A cache of prepared images, so that photos are not decoded again in every run.

The key of an entry is the file's name, size and times of change. A cache file belongs to one folder, image shape, pixel
range and version of the code that prepares images. A damaged or unwritable cache file only costs time.
"""

import contextlib
import hashlib
import inspect
import logging
import os
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import PIL
import torch
from jaxtyping import UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from capsnet._version import __version__
from capsnet.cache import cache_dir, prune_cache
from capsnet.data import deep, formats, images, photo, pixels, regions
from capsnet.data.dataset import Preparation

_KEY_BYTES = 16
_MOST_BYTES = 2 << 30


class PreparedImages:
    """The prepared images of one data set in one shape.

    Args:
        place: the folder or archive that holds the files.
        image_shape: channels, height and width of the prepared images.
        preparation: `"digit"` or `"fit"`.
        pixel_range: values that become 0 and 255, or None.
    """

    def __init__(
        self,
        place: str,
        image_shape: tuple[int, int, int],
        preparation: Preparation,
        pixel_range: tuple[float, float] | None,
    ) -> None:
        words = (place, reader_version(), image_shape, preparation, pixel_range)
        name = hashlib.blake2b(repr(words).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        self._path = cache_dir() / "prepared" / f"{name}.safetensors"
        self._shape = image_shape

    def load(self) -> dict[bytes, UInt8[Tensor, "c h w"]]:
        """Images by the keys of their files; empty if the cache file is missing or damaged."""
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
        """Write images to the cache, atomically. More than a gigabyte is not stored."""
        stacked = torch.stack(list(entries.values()))
        if stacked.nbytes > _MOST_BYTES // 2:
            return
        keys = torch.frombuffer(bytearray(b"".join(entries)), dtype=torch.uint8).view(-1, _KEY_BYTES)
        beside = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # a unique name: two processes may write at once
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


def reader_version() -> str:
    """A hash of the code that decodes and prepares images."""
    sources = ""
    with contextlib.suppress(OSError):
        sources = "".join(map(inspect.getsource, (deep, formats, images, photo, pixels, regions)))
    return f"{__version__} {PIL.__version__} {hashlib.blake2b(sources.encode(), digest_size=8).hexdigest()}"


def _checksum(keys: Tensor, images: Tensor) -> str:
    return str(zlib.crc32(images.contiguous().numpy().data, zlib.crc32(keys.contiguous().numpy().data)))

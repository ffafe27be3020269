"""Features of a frozen backbone, computed once for all images and kept in the user's cache.

A file of the cache belongs to the content of the frozen weights, of the images and of their preprocessing. Each use
checks the file's checksum, and computes the features of two images again: where they differ, because the code of the
backbone changed, all are computed anew.
"""

import contextlib
import errno
import hashlib
import logging
import math
import os
import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from capsnet.cache import cache_dir, prune_cache
from capsnet.data import ImageData
from capsnet.data.features import Features
from capsnet.data.shards import image_hashes
from capsnet.data.transforms import Augmentation
from capsnet.disk_space import free_space
from capsnet.models import CapsuleModel
from capsnet.models.eval_mode import eval_mode
from capsnet.precision import use_precision
from capsnet.runs.config import RunConfig
from capsnet.training.distributed import Processes
from capsnet.training.stages import stage

_BATCH = 64
_PROBES = 2
# the order of sums, and with it the last bits, depends on the number of images and threads
_TOLERANCE = 1e-3
_MOST_BYTES = 8 << 30
_FORMAT = 1


def share_features(
    model: CapsuleModel, parts: Sequence[ImageData], augmentation: Augmentation, config: RunConfig, processes: Processes
) -> tuple[list[ImageData], tuple[str, ...]]:
    """Parts of a data set with features, if the model's first part is frozen and images are as stored.

    Args:
        model: on its device.
        parts: training images, and perhaps validation images.
        augmentation: of the training images.
        config: of the run.
        processes: of the run; one of each machine computes.

    Returns:
        The parts, and what a person should know.
    """
    # the images of a pair are paired anew in each epoch
    if model.fixed_part is None or model.pairing is not None:
        return list(parts), ()
    if augmentation != Augmentation() or config.augmentation.crop is not None:
        note = (
            "augmentation changes every image in every epoch, so the frozen backbone runs in each step; without "
            "augmentation (shift 0 and so on) its features are computed once, and a run takes seconds"
        )
        return list(parts), (note,)
    with processes.first_of_machine():
        return with_features(model, parts), ()


def with_features(model: CapsuleModel, parts: Sequence[ImageData]) -> list[ImageData]:
    """Parts of a data set with the features of their images, from the cache or computed now.

    Args:
        model: with a `fixed_part`, on the device that computes.
        parts: of the data set; how images are divided among them does not change the file of the cache.
    """
    assert model.fixed_part is not None
    hashes = [image_hashes(part.images.cpu()).numpy() for part in parts]
    distinct, first = np.unique(np.concatenate(hashes), return_index=True)
    source = _Source(model, parts, first)
    key = _key(model.fixed_part, model, distinct)
    with use_precision("fp32", model.device):
        table = _open(key, source)
        if table is None:
            with stage(f"computing the features of {len(distinct):,} images once", log=True):
                table = _compute(key, source)
    rows = [torch.from_numpy(np.searchsorted(distinct, part)) for part in hashes]
    return [replace(part, features=Features(table, own)) for part, own in zip(parts, rows, strict=True)]


class _Source:
    """Computes the features of distinct images.

    Args:
        model: that computes.
        parts: of the data set.
        positions: of the distinct images among those of all parts.
    """

    def __init__(self, model: CapsuleModel, parts: Sequence[ImageData], positions: NDArray[np.int64]) -> None:
        self._model, self._parts, self._positions = model, parts, positions
        self._starts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return len(self._positions)

    @torch.no_grad()
    def read(self, chosen: slice) -> Float[Tensor, "b ..."]:
        """The features of some of the images, on the CPU."""
        model, positions = self._model, self._positions[chosen]
        owners = np.searchsorted(self._starts, positions, side="right") - 1
        images = torch.cat(
            [
                self._parts[owner].images[torch.tensor([position - self._starts[owner]])]
                for owner, position in zip(owners, positions, strict=True)
            ]
        )
        with eval_mode(model):
            features = model.features(model.inputs(images.to(model.device)))
        return features.float().cpu()


def _key(part: nn.Module, model: CapsuleModel, hashes: NDArray[np.int64]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    words = (_FORMAT, torch.__version__, model.device.type, type(part).__qualname__, repr(part), model.inputs)
    digest.update(repr(words).encode("utf-8", "surrogateescape"))
    for name, tensor in part.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    digest.update(hashes.tobytes())
    return digest.hexdigest()


def _open(key: str, source: _Source) -> Tensor | None:
    """The features in the cache; None if there are none, or they are not those of these images by this model."""
    for path in _folder().glob(f"{key}.*.npy"):
        try:
            # changes would stay in memory
            array = np.load(path, mmap_mode="c", allow_pickle=False)
            if f"{_checksum(array):08x}" != path.name.split(".")[1] or len(array) != len(source):
                raise ValueError("its checksum differs")
        except (OSError, ValueError) as fault:
            logging.getLogger("capsnet").warning(f"{path} is damaged ({fault}); its features are computed anew")
            continue
        table = torch.from_numpy(array)
        fresh = source.read(slice(_PROBES))
        if fresh.shape[1:] == table.shape[1:] and _are_close(fresh, table[:_PROBES]):
            os.utime(path)
            return table
        logging.getLogger("capsnet").warning(f"{path} is of another version of the backbone; it is computed anew")
    return None


def _are_close(fresh: Tensor, stored: Tensor) -> bool:
    scale = float(fresh.abs().max())
    return torch.allclose(fresh, stored, rtol=_TOLERANCE, atol=_TOLERANCE * scale)


def _compute(key: str, source: _Source) -> Tensor:
    """Compute all features; a kill leaves no file in the cache, or a whole one."""
    first = source.read(slice(_BATCH))
    shape, beside = (len(source), *first.shape[1:]), _folder() / f"{key}.{os.getpid()}-{time.time_ns()}.part"
    table: NDArray[np.float32]
    try:
        beside.parent.mkdir(parents=True, exist_ok=True)
        # memory-mapped writes to a full disk would kill the process
        if free_space(beside.parent) < 4 * math.prod(shape):
            raise OSError(errno.ENOSPC, "no space left on the disk")
        table = np.lib.format.open_memmap(beside, mode="w+", dtype=np.float32, shape=shape)
    except OSError as fault:
        logging.getLogger("capsnet").info(f"{beside.parent}: features are not kept ({fault})")
        table = np.empty(shape, np.float32)
    try:
        table[: len(first)] = first.numpy()
        for start in range(_BATCH, len(source), _BATCH):
            table[start : start + _BATCH] = source.read(slice(start, start + _BATCH)).numpy()
        if isinstance(table, np.memmap):
            _keep(table, beside, key)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    return torch.from_numpy(np.asarray(table))


def _keep(table: "np.memmap[tuple[int, ...], np.dtype[np.float32]]", beside: Path, key: str) -> None:
    try:
        table.flush()
        path = _folder() / f"{key}.{_checksum(table):08x}.npy"
        beside.replace(path)
        prune_cache(path.parent, _MOST_BYTES, keep=path)
    except OSError as fault:
        logging.getLogger("capsnet").info(f"{beside.parent}: features are not kept ({fault})")


def _checksum(array: NDArray[np.float32]) -> int:
    return zlib.crc32(np.ascontiguousarray(array).data)


def _folder() -> Path:
    return cache_dir() / "features"

"""Shards: the prepared images of a data set in memory-mapped files of the user's cache, for data larger than memory.

Images are distributed over shards by a hash of their names, so that a new photo changes only one shard. A shard's name
is a hash of its photos (names, sizes, times of change) and of the code that prepares them. Shards are written
atomically; an interrupted preparation continues with the next shard. If a shard's file changed and its checksum
differs, it is prepared again.
"""

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy.typing import NDArray
from torch import Tensor

from capsnet.cache import cache_dir
from capsnet.data.holdout import hash_images, hash_names
from capsnet.data.stored import StoredImages
from capsnet.disk_space import check_space
from capsnet.errors import UserError
from capsnet.free_memory import free_memory

Shards = Literal["always", "never"]
_SHARD_BYTES = 64 << 20
# each open shard takes a file descriptor
_MOST_SHARDS = 256
_STALE_SECONDS = 86400.0
# reading into memory needs three copies of the images: list, tensor and splits
_MEMORY_SHARE = 4


@dataclass(frozen=True)
class ShardWork:
    """The images of a set of shards, and how to prepare them.

    Args:
        names: names of the images.
        keys: a hash of each image's source.
        image_shape: channels, height and width of the prepared images.
        version: a string that changes with the source of the images and the code that prepares them.
        prepare: reads the images at the given positions; returns an error for each image that cannot be read.
    """

    names: Sequence[str]
    keys: Sequence[bytes]
    image_shape: tuple[int, int, int]
    version: str
    prepare: Callable[[Sequence[int]], Sequence[Tensor | UserError]]


@dataclass(frozen=True)
class OpenShards:
    """The images of open shards.

    Args:
        images: the readable images; None if there are none.
        positions: their positions among the names, in ascending order.
        errors: the error of each other image, by position.
    """

    images: StoredImages | None
    positions: list[int]
    errors: dict[int, UserError]


def open_shards(work: ShardWork, advance: Callable[[int], None] = lambda count: None) -> OpenShards:
    """Prepare the shards that are missing, and open all.

    Args:
        work: the images, and how to prepare them.
        advance: called with the number of images of each shard that exists already.

    Raises:
        UserError: a full disk, or a cache that cannot be written.
    """
    size = int(np.prod(work.image_shape))
    folder = cache_dir() / "shards"
    members = _divide(work.names, size)
    paths = [folder / f"{_shard_name(work, positions)}.npy" for positions in members]
    stored = [_open(path, work.image_shape) for path in paths]
    missing = sum(len(positions) for positions, shard in zip(members, stored, strict=True) if shard is None)
    if missing:
        check_space(folder, missing * size, "set CAPSNET_CACHE_DIR to another disk, or use a smaller image_size")
    arrays: list[NDArray[np.uint8]] = []
    order: list[int] = []
    hashes: list[int] = []
    errors: dict[int, UserError] = {}
    for path, positions, shard in zip(paths, members, stored, strict=True):
        if shard is not None:
            faulty = [position for position in positions if work.names[position] in shard[1].faults]
            # a fault may have been of the moment: little memory, or a disk that was not there
            if faulty and any(isinstance(result, Tensor) for result in work.prepare(faulty)):
                shard = None
            else:
                advance(len(positions) - len(faulty))
        array, record = shard or _prepare(path, positions, work)
        faults = record.faults
        good = [position for position in positions if work.names[position] not in faults]
        errors |= {p: UserError(faults[work.names[p]]) for p in positions if work.names[p] in faults}
        if good:
            arrays.append(array)
            order += good
            hashes += record.hashes
    if not order:
        return OpenShards(None, [], errors)
    # shards are ordered by the hash of the names: restore the order of the names
    rows = np.argsort(np.array(order), kind="stable")
    images = StoredImages(arrays, rows, np.array(hashes, dtype=np.int64)[rows])
    return OpenShards(images, sorted(order), errors)


def image_hashes(images: UInt8[Tensor, "m c h w"]) -> Int[Tensor, " m"]:
    """A hash of each image's pixels; for stored images it was computed with their shards."""
    return torch.from_numpy(images.hashes) if isinstance(images, StoredImages) else hash_images(images)


def needs_shards(count: int, image_shape: tuple[int, int, int], shards: Shards | None) -> bool:
    """Whether to keep images in shards: the user's choice, else if they exceed a quarter of the free memory."""
    if shards is not None:
        return shards == "always"
    return count * int(np.prod(image_shape)) > free_memory() // _MEMORY_SHARE


@dataclass(frozen=True)
class _Record:
    """The JSON file beside a shard: its checksum, its file's state, errors by name, and a hash of each image."""

    checksum: int
    state: list[int]
    faults: Mapping[str, str]
    hashes: list[int]


def _divide(names: Sequence[str], size: int) -> list[list[int]]:
    """The positions of each shard's images."""
    count = 1
    while count < _MOST_SHARDS and count * _SHARD_BYTES < len(names) * size:
        count *= 2
    members: list[list[int]] = [[] for _ in range(count)]
    for position, number in enumerate(hash_names(names).tolist()):
        members[number % count].append(position)
    return [positions for positions in members if positions]


def _shard_name(work: ShardWork, positions: Sequence[int]) -> str:
    digest = hashlib.blake2b(repr((work.version, work.image_shape)).encode("utf-8", "surrogateescape"), digest_size=16)
    for position in positions:
        digest.update(work.keys[position])
    return digest.hexdigest()


def _open(path: Path, image_shape: tuple[int, int, int]) -> tuple[NDArray[np.uint8], _Record] | None:
    """A shard and its record; None if it is missing or damaged."""
    try:
        record = _Record(**json.loads(path.with_suffix(".json").read_text()))
        array = _map(path, len(record.hashes), image_shape)
        if record.state != _state(path):
            if zlib.crc32(np.ascontiguousarray(array).data) != record.checksum:
                raise ValueError("its checksum differs")
            _write_record(path, _Record(record.checksum, _state(path), record.faults, record.hashes))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as fault:
        logging.getLogger("capsnet").warning(f"{path}: the shard is damaged ({fault}); it is prepared again")
        return None
    return array, record


def _map(path: Path, count: int, image_shape: tuple[int, int, int]) -> UInt8[np.ndarray, "m c h w"]:
    if count == 0:
        return np.zeros((0, *image_shape), np.uint8)
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.shape != (count, *image_shape) or array.dtype != np.uint8:
        raise ValueError(f"it holds {array.shape}, not {(count, *image_shape)}")
    mapped: NDArray[np.uint8] = array
    return mapped


def _prepare(path: Path, positions: Sequence[int], work: ShardWork) -> tuple[NDArray[np.uint8], _Record]:
    """Prepare a shard and write it atomically."""
    results = work.prepare(positions)
    good = [result for result in results if isinstance(result, Tensor)]
    faults = {work.names[k]: str(r) for k, r in zip(positions, results, strict=True) if isinstance(r, UserError)}
    array = np.zeros((len(good), *work.image_shape), np.uint8)
    for row, image in zip(array, good, strict=True):
        row[:] = image.numpy()
    hashes = hash_images(torch.stack(good)).tolist() if good else []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # a unique name: two processes may write at once
        number, name = tempfile.mkstemp(suffix=".part", dir=path.parent)
        with os.fdopen(number, "wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
        record = _Record(zlib.crc32(array.data), _state(path), faults, hashes)
        _write_record(path, record)
        _remove_stale(path.parent)
    except OSError as fault:
        raise UserError(
            f"{path} cannot be written ({fault.strerror}); set CAPSNET_CACHE_DIR to another folder"
        ) from None
    return _map(path, len(hashes), work.image_shape), record


def _write_record(path: Path, record: _Record) -> None:
    number, name = tempfile.mkstemp(suffix=".part", dir=path.parent)
    with os.fdopen(number, "w") as file:
        json.dump(vars(record), file)
    Path(name).replace(path.with_suffix(".json"))


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _remove_stale(folder: Path) -> None:
    """Remove temporary files that are older than a day."""
    for path in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()

"""Read many image files in parallel, each decoded once and kept in the user's cache."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from capsnet.data.dataset import Preparation
from capsnet.data.formats import printable_name
from capsnet.data.images import SUFFIXES, ImageInfo, probe_image, read_pixels
from capsnet.data.pixels import PixelRange
from capsnet.data.prepared import PreparedImages, file_keys, reader_version
from capsnet.data.shards import OpenShards, ShardWork, open_shards
from capsnet.errors import UserError

Result = TypeVar("Result")
_MOST_THREADS = 8


def probe_files(folder: Path, names: Sequence[str]) -> list[ImageInfo | UserError]:
    """Read the header of each file; the result holds an error for each file that cannot be read.

    Args:
        folder: the data set's folder.
        names: names of the files, relative to the folder.
    """
    return _for_each(lambda name: _probe(folder / name), names, "checking images")


def read_files(
    folder: Path,
    names: Sequence[str],
    image_shape: tuple[int, int, int],
    preparation: Preparation,
    *,
    pixel_range: tuple[float, float] | None = None,
) -> list[UInt8[Tensor, "c h w"] | UserError]:
    """Read each file as an image of this shape; the result holds an error for each file that cannot be read.

    Args:
        folder: the data set's folder.
        names: names of the files, relative to the folder.
        image_shape: channels, height and width of the result.
        preparation: `"digit"`: as MNIST was made; `"fit"`: scaled into the frame.
        pixel_range: values that become 0 and 255, for files of more than 8 bits.
    """
    cache = PreparedImages(folder, image_shape, preparation, pixel_range)
    keys, stored = file_keys(folder, names), cache.load()
    missing = [name for name, key in zip(names, keys, strict=True) if key not in stored]
    read = _for_each(
        lambda name: prepare_image(folder / name, image_shape, preparation, pixel_range=pixel_range),
        missing,
        "reading images",
    )
    fresh = dict(zip(missing, read, strict=True))
    results = [fresh[name] if name in fresh else stored[key] for name, key in zip(names, keys, strict=True)]
    good = {key: image for key, image in zip(keys, results, strict=True) if isinstance(image, Tensor)}
    if missing and good:
        # keep the entries of other files, unless they outnumber these
        others = {key: image for key, image in stored.items() if key not in good}
        cache.save(good | (others if len(others) <= len(good) else {}))
    return results


def read_shards(
    folder: Path,
    names: Sequence[str],
    image_shape: tuple[int, int, int],
    preparation: Preparation,
    *,
    pixel_range: tuple[float, float] | None = None,
) -> OpenShards:
    """Store each file as an image of this shape in shards; arguments as `read_files`.

    Raises:
        UserError: a full disk, or a cache that cannot be written.
    """
    with _Progress("preparing shards", len(names)) as progress:

        def prepare(positions: Sequence[int]) -> list[Tensor | UserError]:
            return _call_each(
                lambda name: prepare_image(folder / name, image_shape, preparation, pixel_range=pixel_range),
                [names[k] for k in positions],
                progress,
            )

        version = repr((str(folder.resolve()), reader_version(), preparation, pixel_range))
        work = ShardWork(names, file_keys(folder, names), image_shape, version, prepare)
        return open_shards(work, lambda count: progress.advance(count))


def prepare_image(
    path: Path, image_shape: tuple[int, int, int], preparation: Preparation, *, pixel_range: PixelRange | None = None
) -> UInt8[Tensor, "c h w"]:
    """Read an image file as the input of a model.

    Args:
        path: the file.
        image_shape: channels (1 or 3), height and width of the result.
        preparation: `"digit"`: as MNIST was made; `"fit"`: scaled into the frame.
        pixel_range: values that become black and white, for a file of more than 8 bits; None: decided from this file.

    Shapes:
        result `c h w`.

    Raises:
        UserError: a file that cannot be read as an image, or a model with neither 1 nor 3 channels.
    """
    if image_shape[0] not in (1, 3):
        raise UserError(f"{printable_name(path)}: an image file has 1 or 3 channels, the model has {image_shape[0]}")
    return torch.from_numpy(read_pixels(path, image_shape, preparation, pixel_range=pixel_range)[0])


def stack_images(images: Sequence[UInt8[Tensor, "c h w"]], image_shape: tuple[int, int, int]) -> Tensor:
    """Stack images into one tensor, which may be empty."""
    return torch.stack(list(images)) if images else torch.empty(0, *image_shape, dtype=torch.uint8)


def _probe(path: Path) -> ImageInfo:
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} is not an image file")
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a regular file")
    return probe_image(path)


def _for_each(function: Callable[[str], Result], names: Sequence[str], description: str) -> list[Result | UserError]:
    with _Progress(description, len(names)) as progress:
        return _call_each(function, names, progress)


def _call_each(
    function: Callable[[str], Result], names: Sequence[str], progress: "_Progress"
) -> list[Result | UserError]:
    """Call a function for each name in a thread pool: decoders release the interpreter lock."""

    def call(name: str) -> Result | UserError:
        try:
            return function(name)
        except UserError as fault:
            return fault

    executor = ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), _MOST_THREADS))
    try:
        results = []
        for result in executor.map(call, names):
            results.append(result)
            progress.advance()
        return results
    finally:
        # on Ctrl-C, stop at once and not after all files
        executor.shutdown(cancel_futures=True)


class _Progress:
    """A progress bar on a terminal, removed when it is full; nothing elsewhere."""

    def __init__(self, description: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True, force_jupyter=False)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        hidden = not console.is_terminal
        self._progress = Progress(*columns, console=console, transient=True, disable=hidden)
        self._task = self._progress.add_task(description, total=total)

    def __enter__(self) -> "_Progress":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def advance(self, count: int = 1) -> None:
        self._progress.advance(self._task, count)

"""Read many image files in parallel, each decoded once and kept in the user's cache."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from capsnet.data.dataset import Preparation
from capsnet.data.formats import Source, printable_name
from capsnet.data.images import ImageInfo, probe_image, read_pixels
from capsnet.data.pixels import PixelRange
from capsnet.data.prepared import PreparedImages, reader_version
from capsnet.data.shards import OpenShards, ShardWork, open_shards
from capsnet.data.sources import ImageFiles
from capsnet.errors import UserError
from capsnet.processors import count_processors

Result = TypeVar("Result")
_MOST_THREADS = 8


def probe_files(files: ImageFiles, names: Sequence[str]) -> list[ImageInfo | UserError]:
    """Read the header of each file; the result holds an error for each file that cannot be read.

    Args:
        files: the data set's files.
        names: names of the files to read.
    """
    return _for_each(lambda name: probe_image(files.open(name), files.locate(name)), names, "checking images")


def read_files(
    files: ImageFiles,
    names: Sequence[str],
    image_shape: tuple[int, int, int],
    preparation: Preparation,
    *,
    pixel_range: tuple[float, float] | None = None,
) -> list[UInt8[Tensor, "c h w"] | UserError]:
    """Read each file as an image of this shape; the result holds an error for each file that cannot be read.

    Args:
        files: the data set's files.
        names: names of the files to read.
        image_shape: channels, height and width of the result.
        preparation: `"digit"`: as MNIST was made; `"fit"`: scaled into the frame.
        pixel_range: values that become 0 and 255, for files of more than 8 bits.
    """
    cache = PreparedImages(files.place, image_shape, preparation, pixel_range)
    keys, stored = files.keys(names), cache.load()
    missing = [name for name, key in zip(names, keys, strict=True) if key not in stored]
    read = _for_each(
        lambda name: _prepare(files, name, image_shape, preparation, pixel_range),
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
    files: ImageFiles,
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
                lambda name: _prepare(files, name, image_shape, preparation, pixel_range),
                [names[k] for k in positions],
                progress,
            )

        version = repr((files.place, reader_version(), preparation, pixel_range))
        work = ShardWork(names, files.keys(names), image_shape, version, prepare)
        return open_shards(work, lambda count: progress.advance(count))


def prepare_image(
    source: Source,
    image_shape: tuple[int, int, int],
    preparation: Preparation,
    *,
    pixel_range: PixelRange | None = None,
    name: str = "",
) -> UInt8[Tensor, "c h w"]:
    """Read an image file as the input of a model.

    Args:
        source: the file, or its contents.
        image_shape: channels (1 or 3), height and width of the result.
        preparation: `"digit"`: as MNIST was made; `"fit"`: scaled into the frame.
        pixel_range: values that become black and white, for a file of more than 8 bits; None: decided from this file.
        name: the image's name in messages; empty: the file's.

    Shapes:
        result `c h w`.

    Raises:
        UserError: a file that cannot be read as an image, or a model with neither 1 nor 3 channels.
    """
    if image_shape[0] not in (1, 3):
        shown = printable_name(name or source)
        raise UserError(f"{shown}: an image file has 1 or 3 channels, the model has {image_shape[0]}")
    pixels, _ = read_pixels(source, image_shape, preparation, pixel_range=pixel_range, name=name)
    return torch.from_numpy(pixels)


def stack_images(images: Sequence[UInt8[Tensor, "c h w"]], image_shape: tuple[int, int, int]) -> Tensor:
    """Stack images into one tensor, which may be empty."""
    return torch.stack(list(images)) if images else torch.empty(0, *image_shape, dtype=torch.uint8)


def _prepare(
    files: ImageFiles,
    name: str,
    image_shape: tuple[int, int, int],
    preparation: Preparation,
    pixel_range: PixelRange | None,
) -> UInt8[Tensor, "c h w"]:
    source, full_name = files.open(name), files.locate(name)
    return prepare_image(source, image_shape, preparation, pixel_range=pixel_range, name=full_name)


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

    executor = ThreadPoolExecutor(min(count_processors(), _MOST_THREADS))
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

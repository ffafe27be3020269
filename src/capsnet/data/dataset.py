"""What a data set is: uint8 images, labels and class names, kept whole in memory."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from capsnet.data.pairs import Pairing
from capsnet.errors import UserError
from capsnet.registry import Registry

Preparation = Literal["digit", "fit"]


@dataclass(frozen=True)
class ImageData:
    """Images with their labels.

    Args:
        images: pixels.
        labels: indices into `class_names`.
        class_names: a name for each class.
        info: more about each image, or None; what its columns are is the data set's to say.
        files: the file of each image relative to the data set's folder, or None where images are not files.

    Shapes:
        images `m c h w`, labels `m`, info `m k`.

    Raises:
        UserError: images and labels of different counts, no images, or a label without a class.
    """

    images: UInt8[Tensor, "m c h w"]
    labels: Int[Tensor, " _"]
    class_names: tuple[str, ...]
    info: Int[Tensor, "_ k"] | None = None
    files: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise UserError(f"{len(self.images)} images but {len(self.labels)} labels; each image needs one label")
        if self.info is not None and len(self.info) != len(self.images):
            raise UserError(f"{len(self.images)} images but {len(self.info)} rows of info; each image needs one row")
        if self.files is not None and len(self.files) != len(self.images):
            raise UserError(f"{len(self.images)} images but {len(self.files)} file names; each image needs one")
        if len(self.images) == 0:
            raise UserError("the data set holds no images")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.class_names):
            raise UserError(f"labels must be 0 to {len(self.class_names) - 1}, got {low} to {high}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def to(self, device: torch.device | str) -> "ImageData":
        """The same data on another device."""
        info = None if self.info is None else self.info.to(device)
        return replace(self, images=self.images.to(device), labels=self.labels.to(device), info=info)

    def select(self, indices: Int[Tensor, " _"]) -> "ImageData":
        """The images at `indices`."""
        info = None if self.info is None else self.info[indices]
        files = None if self.files is None else tuple(self.files[k] for k in indices.tolist())
        return replace(self, images=self.images[indices], labels=self.labels[indices], info=info, files=files)

    def counts(self) -> list[int]:
        """Number of images of each class."""
        return torch.bincount(self.labels, minlength=len(self.class_names)).tolist()


@dataclass(frozen=True)
class Dataset:
    """A data set by name.

    Args:
        name: how the user asked for it.
        train: images that may be learned from; validation is split from these.
        test: images that are looked at once, at the end.
        preparation: how a person's own image file becomes an input: as MNIST was made (`"digit"`: light strokes on
            black, 20x20, centred by mass), or fitted into the frame (`"fit"`).
        pairing: how an input is made of two images, each of which shows a single thing (MultiMNIST); None: an input
            is an image.
        transformed_test: the test images are transformed in ways that the training images are not.
        validation: images that the data set itself sets aside for validation; None: they are split from `train`.
        notes: what a person should know of how it was read, one sentence each: files left out, a split that was made.
        pixel_range: values that became 0 and 255, of images of more than 8 bits; None: they have 8 bits.
    """

    name: str
    train: ImageData
    test: ImageData
    preparation: Preparation = "fit"
    pairing: Pairing | None = None
    transformed_test: bool = False
    validation: ImageData | None = None
    notes: tuple[str, ...] = ()
    pixel_range: tuple[float, float] | None = None

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input: that of an image, or of a pair."""
        channels, height, width = self.train.image_shape
        margin = 2 * self.pairing.padding if self.pairing else 0
        return channels, height + margin, width + margin


@dataclass(frozen=True)
class Source:
    """Where a named data set comes from.

    Args:
        load: reads it; where its files are not at hand, downloads them.
        summary: one line about it.
        find: where its files lie, or None where they are not at hand; reads and downloads nothing.
        made_from: the data set whose files it is made of; None: it has its own.
    """

    load: Callable[[Path | None], Dataset]
    summary: str
    find: Callable[[Path | None], Path | None]
    made_from: str | None = None


DATASETS: Registry[Source] = Registry("data set")


def hold_out(data: ImageData, share: int | float, *, seed: int) -> tuple[ImageData, ImageData | None]:
    """Split images off for validation, the same ones for the same seed.

    Args:
        data: all training images.
        share: share of the images (below 1), or their number (1 and more); 0 for none.
        seed: of the shuffle.

    Returns:
        What is left to train on, and what was held out (None for a share of 0).

    Raises:
        UserError: a share that leaves nothing to train on.
    """
    count = round(len(data) * share) if share < 1 else int(share)
    if share > 0:
        count = max(count, 1)
    if not 0 <= count < len(data):
        raise UserError(f"validation must leave images to train on, got {share:g} of {len(data)}; use a smaller share")
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    if count == 0:
        return data, None
    return data.select(order[count:].sort().values), data.select(order[:count].sort().values)


def split_by_class(labels: Int[Tensor, " m"], share: float, *, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of two parts, the second with `share` of each class but at least one image, and never all of a class."""
    generator = torch.Generator().manual_seed(seed)
    first, second = [], []
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero()[:, 0]
        if len(members) == 0:
            continue
        members = members[torch.randperm(len(members), generator=generator)]
        cut = min(max(round(len(members) * share), 1), len(members) - 1)
        second.append(members[:cut])
        first.append(members[cut:])
    return torch.cat(first).sort().values, torch.cat(second).sort().values

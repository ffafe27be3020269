"""Data sets: uint8 images, labels and class names, as tensors or in memory-mapped shards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int, UInt8
from numpy.typing import ArrayLike
from torch import Tensor

from capsnet.bounds import check_choice
from capsnet.data.features import Features
from capsnet.data.holdout import hash_names, hold_out_by_hash
from capsnet.data.pairs import Pairing
from capsnet.data.pixels import Preparation as Preparation
from capsnet.data.shards import Shards
from capsnet.data.stored import select_images
from capsnet.data.survey import Survey
from capsnet.errors import UserError
from capsnet.registry import Registry


@dataclass(frozen=True)
class ImageData:
    """Images with their labels.

    Args:
        images: pixels.
        labels: indices into `class_names`.
        class_names: a name for each class.
        info: more numbers for each image, or None; the data set's module names the columns.
        files: the file of each image relative to the data set's folder, or None if images are not files.
        keys: a hash of each image's content, by which images without files are held out; None: by a seeded draw.
        notes: remarks for the user on how these images were read, one sentence each.
        features: features of each image from a model's frozen backbone, computed once; None: not computed.
        originals: number of images that these were made from, if several were made of each (affNIST: 10,000); None:
            one of each.

    Shapes:
        images `m c h w`, labels `m`, info `m k`, keys `m`.

    Raises:
        UserError: images that are not uint8 or not `m c h w`, images and labels of different counts, no images, or a
            label without a class.
    """

    images: UInt8[Tensor, "m c h w"]
    labels: Int[Tensor, " _"]
    class_names: tuple[str, ...]
    info: Int[Tensor, "_ k"] | None = None
    files: tuple[str, ...] | None = None
    keys: Int[Tensor, " _"] | None = None
    notes: tuple[str, ...] = ()
    features: Features | None = None
    originals: int | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8:
            raise UserError(
                f"images must be uint8 from 0 to 255, got {self.images.dtype}; Dataset.from_arrays scales other values"
            )
        if self.images.ndim != 4 or self.labels.ndim != 1:
            raise UserError(
                f"images must be m c h w and labels m, got shapes {tuple(self.images.shape)} and "
                f"{tuple(self.labels.shape)}"
            )
        if self.labels.is_floating_point() or self.labels.dtype == torch.bool:
            raise UserError(f"labels must be whole numbers, got {self.labels.dtype}; convert them with labels.long()")
        if len(self.images) != len(self.labels):
            raise UserError(f"{len(self.images)} images but {len(self.labels)} labels; each image needs one label")
        if self.info is not None and len(self.info) != len(self.images):
            raise UserError(f"{len(self.images)} images but {len(self.info)} rows of info; each image needs one row")
        if self.files is not None and len(self.files) != len(self.images):
            raise UserError(f"{len(self.images)} images but {len(self.files)} file names; each image needs one")
        if self.keys is not None and len(self.keys) != len(self.images):
            raise UserError(f"{len(self.images)} images but {len(self.keys)} keys; each image needs one")
        if self.features is not None and len(self.features) != len(self.images):
            raise UserError(f"{len(self.images)} images but features of {len(self.features)}; each image needs some")
        if len(self.images) == 0:
            raise UserError("the data set holds no images")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.class_names):
            hint = "; subtract 1 where classes are counted from 1" if (low, high) == (1, len(self.class_names)) else ""
            raise UserError(f"labels must be 0 to {len(self.class_names) - 1}, got {low} to {high}{hint}")

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
        features = None if self.features is None else self.features.to(device)
        return replace(self, images=self.images.to(device), labels=self.labels.to(device), info=info, features=features)

    def select(self, indices: Int[Tensor, " _"]) -> "ImageData":
        """The images at `indices`."""
        info = None if self.info is None else self.info[indices]
        files = None if self.files is None else tuple(self.files[k] for k in indices.tolist())
        keys = None if self.keys is None else self.keys[indices.to(self.keys.device)]
        return replace(
            self,
            images=select_images(self.images, indices),
            labels=self.labels[indices],
            info=info,
            files=files,
            keys=keys,
            features=None if self.features is None else self.features.select(indices),
        )

    def counts(self) -> list[int]:
        """Number of images of each class."""
        return torch.bincount(self.labels, minlength=len(self.class_names)).tolist()


@runtime_checkable
class MapDataset(Protocol):
    """A map-style data set, such as `torch.utils.data.Dataset`: a length, and `(image, label)` at each index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> object: ...


@dataclass(frozen=True)
class Dataset:
    """Training and test images, with how an image file becomes an input.

    Args:
        name: registered name or path of the data set.
        train: training images; the validation split is taken from these.
        test: test images, evaluated once, after training.
        preparation: how an image file becomes an input: as MNIST was made (`"digit"`: light strokes on black, 20x20,
            centred by mass), or scaled into the frame (`"fit"`).
        pairing: how an input is made of two images of single digits (MultiMNIST); None: an input is one image.
        transformed_test: the test images are transformed in ways that the training images are not.
        validation: the data set's own validation split; None: it is split from `train`.
        notes: remarks for the user on how the data set was read, one sentence each: files left out, splits made.
        pixel_range: values that became 0 and 255, for images of more than 8 bits; None: they have 8 bits.
        survey: sizes, modes and copies of the image files; None: the images are not files.
        test_held_out: whether the test images were held out here, because the arrays had no test split of their own.

    Raises:
        UserError: an unknown `preparation`, or parts whose classes, or the order of these, or whose shapes of images
            differ.
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
    survey: Survey | None = None
    test_held_out: bool = False

    def __post_init__(self) -> None:
        check_choice("preparation", self.preparation, Preparation)
        for part, data in (("test", self.test), ("validation", self.validation)):
            if data is None:
                continue
            if data.class_names != self.train.class_names:
                ours, theirs = (", ".join(map(repr, names)) for names in (self.train.class_names, data.class_names))
                raise UserError(
                    f"{self.name}: {part} must have the classes of train in the same order, {ours}, got {theirs}; "
                    "renumber its labels"
                )
            if data.image_shape != self.train.image_shape:
                raise UserError(
                    f"{self.name}: {part} must have images of the shape of train, {self.train.image_shape}, got "
                    f"{data.image_shape}; scale them to one size"
                )

    @classmethod
    def from_arrays(
        cls,
        images: ArrayLike,
        labels: ArrayLike,
        class_names: Sequence[str] | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
        pixel_range: tuple[float, float] | None = None,
    ) -> "Dataset":
        """Make a data set from arrays or tensors; see `capsnet.data.arrays.make_dataset`.

        Example:
            >>> Dataset.from_arrays(x_train, y_train, test=(x_test, y_test))
        """
        # imported late: that module imports this one
        from capsnet.data.arrays import make_dataset

        return make_dataset(images, labels, class_names, test=test, pixel_range=pixel_range)

    @classmethod
    def from_folder(
        cls,
        folder: Path | str,
        *,
        image_size: int = 32,
        skip_unreadable: bool = False,
        pixel_range: tuple[float, float] | None = None,
        shards: Shards | None = None,
    ) -> "Dataset":
        """Read class folders, tar archives or a table of images; see `capsnet.data.folder.load_folder`."""
        from capsnet.data.folder import load_folder

        return load_folder(
            folder, image_size=image_size, skip_unreadable=skip_unreadable, pixel_range=pixel_range, shards=shards
        )

    @classmethod
    def from_torch(
        cls,
        dataset: MapDataset,
        class_names: Sequence[str] | None = None,
        test: MapDataset | None = None,
        pixel_range: tuple[float, float] | None = None,
    ) -> "Dataset":
        """Read a map-style data set of (image, label); see `capsnet.data.torch_dataset.read_dataset`.

        Example:
            >>> Dataset.from_torch(torchvision.datasets.FashionMNIST("data"))
        """
        from capsnet.data.torch_dataset import read_dataset

        return read_dataset(dataset, class_names, test=test, pixel_range=pixel_range)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input: that of an image, or of a pair."""
        channels, height, width = self.train.image_shape
        margin = 2 * self.pairing.padding if self.pairing else 0
        return channels, height + margin, width + margin


@dataclass(frozen=True)
class Source:
    """How a named data set is loaded.

    Args:
        load: reads the data set, and downloads its files if they are missing.
        summary: one line about the data set.
        find: the folder of its files, or None if they are missing; reads and downloads nothing.
        made_from: the data set whose files it uses; None: it has its own files.
    """

    load: Callable[[Path | None], Dataset]
    summary: str
    find: Callable[[Path | None], Path | None]
    made_from: str | None = None


DATASETS: Registry[Source] = Registry("data set", "capsnet.data")


def hold_out(data: ImageData, share: int | float, *, seed: int) -> tuple[ImageData, ImageData | None]:
    """Hold out images for validation. The same seed gives the same images.

    Images that are files are held out by a hash of their names, images with keys by their keys, class by class: adding
    an image moves no other one. In other data sets the seed draws from all images; a share is drawn class by class if a
    class would otherwise lose its last image, a number is not.

    Args:
        data: all training images.
        share: share of the images (below 1), or their number (1 and more); 0 for none.
        seed: seed of the split.

    Returns:
        The remaining training images, and the images held out (None for a share of 0).

    Raises:
        UserError: a share that leaves nothing to train on, or no image of a class.
    """
    count = round(len(data) * share) if share < 1 else int(share)
    if share > 0:
        count = max(count, 1)
    if not 0 <= count < len(data):
        raise UserError(f"validation must leave images to train on, got {share:g} of {len(data)}; use a smaller share")
    keys = data.keys if data.files is None else hash_names(data.files)
    if keys is not None:
        kept, held = hold_out_by_hash(keys, data.labels.cpu(), share, salt=f"validation {seed}")
        return data.select(kept), data.select(held) if len(held) else None
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    if count == 0:
        return data, None
    kept, held = order[count:].sort().values, order[:count].sort().values
    if share < 1 and set(data.labels.tolist()) != set(data.labels[kept].tolist()):
        # a class would have no training images: hold out the share of each class, and never its last image
        kept, held = hold_out_by_hash(torch.arange(len(data)), data.labels.cpu(), count, salt=f"validation {seed}")
    return data.select(kept), data.select(held)


def split_by_class(labels: Int[Tensor, " m"], share: float, *, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of two parts. The second has `share` of each class: at least one image, and never all."""
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

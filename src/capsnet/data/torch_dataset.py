"""A data set from a map-style data set of PyTorch, such as torchvision's."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from capsnet.data.arrays import make_dataset
from capsnet.data.dataset import Dataset, MapDataset
from capsnet.errors import UserError

_MODES = ("L", "RGB", "I", "I;16", "F")


def read_dataset(
    dataset: MapDataset,
    class_names: Sequence[str] | None = None,
    *,
    test: MapDataset | None = None,
    pixel_range: tuple[float, float] | None = None,
) -> Dataset:
    """Read each image of a map-style data set once; see `capsnet.data.arrays.make_dataset`.

    Random transforms of the data set are applied only once: remove them, and use this package's augmentation.

    Args:
        dataset: items are `(image, label)`: a Pillow image, an array or a tensor, and an integer or a class name.
        class_names: names of the labels 0, 1 and so on; None: `dataset.classes` if it exists, else the numbers.
        test: the test split; None: about a fifth of each class is held out.
        pixel_range: values that become 0 and 255; None: 0 and 255 of uint8 images, else chosen by `decide_range`.

    Raises:
        UserError: items of another form, images of several shapes or types, or what `make_dataset` refuses.

    Example:
        >>> read_dataset(torchvision.datasets.FashionMNIST("data"))
    """
    images, labels = _read(dataset, "dataset")
    tests = None if test is None else _read(test, "test")
    if tests is not None:
        tests = tests[0], _match(tests[1], getattr(test, "classes", None), getattr(dataset, "classes", None))
    given = getattr(dataset, "classes", None) if class_names is None else class_names
    names = None if given is None else [str(name) for name in given]
    return make_dataset(
        images,
        labels,
        names,
        test=tests,
        pixel_range=pixel_range,
        name=type(dataset).__name__,
    )


def _match(
    labels: NDArray[np.generic], theirs: Sequence[object] | None, ours: Sequence[object] | None
) -> NDArray[np.generic]:
    """Labels of the test split in the training split's order of classes."""
    if theirs is None or ours is None or list(theirs) == list(ours) or labels.dtype.kind not in "iu":
        return labels
    places = {name: place for place, name in enumerate(ours)}
    unknown = [theirs[k] for k in np.unique(labels).tolist() if 0 <= k < len(theirs) and theirs[k] not in places]
    if unknown:
        raise UserError(f"test has images of the class {unknown[0]!r}, which dataset.classes lacks")
    return np.array([places[theirs[k]] if 0 <= k < len(theirs) else k for k in labels.tolist()])


def _read(dataset: MapDataset, name: str) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """All images and labels, each stacked."""
    if not isinstance(dataset, MapDataset):
        raise UserError(
            f"{name} must be map-style, with a length and (image, label) at each index, got {type(dataset).__name__}"
        )
    images, labels = [], []
    for index in range(len(dataset)):
        item = dataset[index]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise UserError(f"{name}[{index}] must be (image, label), got {type(item).__name__}")
        images.append(_to_array(item[0], f"{name}[{index}]"))
        labels.append(_to_label(item[1], f"{name}[{index}]"))
        first, last = images[0], images[-1]
        if (last.shape, last.dtype) != (first.shape, first.dtype):
            raise UserError(
                f"images must have one shape and type: {name}[0] is {first.shape} {first.dtype}, {name}[{index}] is "
                f"{last.shape} {last.dtype}; resize them in the data set's transform"
            )
    if not images:
        raise UserError(f"{name} holds no images")
    return np.stack(images), np.array(labels)


def _to_array(image: object, name: str) -> NDArray[np.generic]:
    if isinstance(image, Image.Image):
        if image.mode not in _MODES:
            raise UserError(f"{name}: an image must be grey or RGB, got mode {image.mode}; convert it in the transform")
        return np.asarray(image)
    if isinstance(image, Tensor):
        # NumPy has no bfloat16
        return (image.float() if image.dtype is torch.bfloat16 else image).detach().cpu().numpy()
    if isinstance(image, np.ndarray):
        return image
    raise UserError(f"{name}: an image must be one of Pillow, an array or a tensor, got {type(image).__name__}")


def _to_label(label: object, name: str) -> int | str:
    value = label.item() if isinstance(label, Tensor | np.generic) and np.ndim(label) == 0 else label
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise UserError(f"{name}: a label must be a whole number or a name, got {value!r}")
    return value

"""A data set from arrays of images and labels."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from capsnet.data.dataset import Dataset, ImageData
from capsnet.data.holdout import hash_images, hold_out_by_hash
from capsnet.data.pixels import LEAST_OF_255, ImageInfo, PixelRange, check_range, check_units, decide_range
from capsnet.data.survey import describe_classes
from capsnet.errors import UserError

Array = NDArray[np.generic]
Pair = tuple[ArrayLike, ArrayLike]

_TEST_SHARE = 0.2
_CHANNELS = (1, 3)
_PARTS = ("training images", "test images")


def make_dataset(
    images: ArrayLike,
    labels: ArrayLike,
    class_names: Sequence[str] | None = None,
    *,
    test: Pair | None = None,
    pixel_range: tuple[float, float] | None = None,
    name: str = "arrays",
) -> Dataset:
    """Make a data set from arrays.

    Without test images, about a fifth of each class is held out as the test split, by a hash of each image's pixels: an
    image's split does not depend on its position or on other images, and copies fall into the same split, except where
    a class has so few different images that one of its copies must be moved to have both splits.

    Args:
        images: uint8 from 0 to 255, or other numbers; the order of the axes is inferred from their sizes.
        labels: integers from 0, or class names.
        class_names: names of the labels 0, 1 and so on; None: the numbers, or the names in `labels`.
        test: images and labels of the test split.
        pixel_range: values that become 0 and 255; None: 0 and 255 of uint8 images, else chosen by `decide_range`.
        name: name of the data set.

    Shapes:
        images `m h w`, `m h w c` or `m c h w` with 1 or 3 channels; labels `m` or `m 1`.

    Raises:
        UserError: arrays of other shapes or types, values that are not finite or do not fit `pixel_range`, labels that
            do not start at 0, or a class with too few images to hold one out.

    Example:
        >>> make_dataset(x_train, y_train, test=(x_test, y_test))
    """
    pairs = [(images, labels)] if test is None else [(images, labels), test]
    arrays = [_as_array(values, "images") for values, _ in pairs]
    arrays = [channels_first(values) for values in arrays]
    pixel_range = _find_range(arrays, pixel_range)
    pixels = [to_pixels(values, pixel_range) for values in arrays]
    if len(pixels) > 1 and pixels[0].shape[1:] != pixels[1].shape[1:]:
        shapes = [tuple(part.shape[1:]) for part in pixels]
        raise UserError(f"{name}: training images are {shapes[0]}, test images {shapes[1]}; both must have one shape")
    names, numbers = _read_labels([_as_array(values, "labels") for _, values in pairs], class_names)
    notes = []
    if pixel_range not in (None, (0, 255)):
        assert pixel_range is not None
        notes.append(f"Pixel values of {pixel_range[0]:g} are read as black, of {pixel_range[1]:g} as white.")
    elif pixel_range is None and (high := max(int(part.max()) for part in pixels)) < LEAST_OF_255:
        notes.append(
            f"Pixel values are 0 to {high} of 255, almost black: give pixel_range=(0, {high}) if {high} is white."
        )
    parts = [ImageData(part, label, names, keys=hash_images(part)) for part, label in zip(pixels, numbers, strict=True)]
    if test is None:
        parts = list(_hold_out_test(parts[0], name))
        total = len(parts[0]) + len(parts[1])
        notes.append(f"{len(parts[1])} of {total} images are held out as the test split, by a hash of their pixels.")
    notes += describe_classes(names, parts[0].counts())
    return Dataset(name, parts[0], parts[1], notes=tuple(notes), pixel_range=pixel_range, test_held_out=test is None)


def _as_array(values: ArrayLike, what: str) -> Array:
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        # NumPy has no bfloat16
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    try:
        array = np.asarray(values)
    except ValueError:
        # rows of different lengths
        array = np.empty(0, dtype=object)
    if array.dtype == object and array.size and all(isinstance(value, str) for value in array.flat):
        array = array.astype(str)
    if array.dtype == object:
        raise UserError(f"{what} must be one array of numbers, got objects (such as rows of different lengths)")
    return array


def channels_first(images: Array) -> Array:
    """Bring images with any usual order of axes to `m c h w`."""
    shape = images.shape
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and shape[1] in _CHANNELS and shape[3] in _CHANNELS:
        raise UserError(f"images of shape {shape} are ambiguous: m c h w or m h w c; use another image size")
    elif images.ndim == 4 and shape[3] in _CHANNELS:
        images = images.transpose(0, 3, 1, 2)
    elif images.ndim != 4 or shape[1] not in _CHANNELS:
        raise UserError(f"images must be m h w, m h w c or m c h w with 1 or 3 channels, got shape {shape}")
    if 0 in images.shape:
        raise UserError(f"images hold no pixels: their shape is {shape}")
    return images


def _find_range(arrays: Sequence[Array], pixel_range: tuple[float, float] | None) -> tuple[float, float] | None:
    """The values that become 0 and 255; None where all images are uint8."""
    for array in arrays:
        if array.dtype.kind not in "uif":
            raise UserError(f"images must be uint8 or other numbers, got {array.dtype}")
    if pixel_range is not None:
        check_range(pixel_range)
        for array, what in zip(arrays, _PARTS, strict=False):
            check_units(replace(describe_values(array), name=what), pixel_range)
        return pixel_range
    infos = [describe_values(array) for array in arrays if array.dtype != np.uint8]
    if not infos:
        return None
    if len(infos) < len(arrays):
        raise UserError("training and test images must be of one type, got uint8 and another; convert one of them")
    low, high = min(info.low for info in infos), max(info.high for info in infos)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and high <= 255 and all(map(_is_whole, arrays)):
        # integers up to 255 count as 8 bits, unless all are dark (scikit-learn's digits have 0 to 16)
        chosen: PixelRange | None = (0.0, 255.0 if high >= LEAST_OF_255 else high)
    else:
        chosen = decide_range(infos)
    if chosen is not None:
        for array, what in zip(arrays, _PARTS, strict=False):
            _check_one_unit(array, what, chosen)
    return chosen


def _check_one_unit(array: Array, what: str, pixel_range: tuple[float, float]) -> None:
    """Check that no images are scaled to 0..1 where others have larger numbers.

    Raises:
        UserError: all images, or an image with fractions, have values of 0..1 only, where 1 would be black.
    """
    low, high = pixel_range
    if array.dtype.kind != "f" or low < 0 or high < LEAST_OF_255:
        return
    brightest = array.max(axis=tuple(range(1, array.ndim)))
    doubtful = np.flatnonzero((brightest >= 0.5) & (brightest <= 1))
    scaled = [int(k) for k in doubtful if not _is_whole(array[k])]
    if len(doubtful) == len(array) or scaled:
        place = scaled[0] if scaled else 0
        raise UserError(
            f"{what}: the values of image {place} are at most {brightest[place]:g}, but {high:g} is white in others: "
            "scale all to one range, or give pixel_range"
        )


def describe_values(array: Array) -> ImageInfo:
    """An `ImageInfo` with the smallest and the largest value of images.

    Raises:
        UserError: a value that is not finite.
    """
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = next(k for k, image in enumerate(array) if not np.isfinite(image).all())
        raise UserError(f"image {bad} has values that are not finite (NaN or infinite)")
    mode = "F" if array.dtype.kind == "f" else "I"
    return ImageInfo("images", 1, 1, mode, color=False, deep=True, low=low, high=high)


def _is_whole(array: Array) -> bool:
    return all(bool((part == np.floor(part)).all()) for part in array)


def to_pixels(images: Array, pixel_range: tuple[float, float] | None) -> UInt8[Tensor, "m c h w"]:
    """Map `pixel_range` to 0 and 255 and round to uint8; None: the images are uint8 already."""
    if pixel_range is None:
        return torch.from_numpy(np.ascontiguousarray(images))
    low, high = pixel_range
    pixels = np.empty(images.shape, np.uint8)
    # image by image: converting all at once to floats would need eight times the memory
    for image, pixel in zip(images, pixels, strict=True):
        shares = (image.astype(np.float64) - low) / (high - low)
        pixel[...] = np.rint(shares.clip(0, 1) * 255)
    return torch.from_numpy(pixels)


def _read_labels(arrays: Sequence[Array], class_names: Sequence[str] | None) -> tuple[tuple[str, ...], list[Tensor]]:
    """Names of the classes and the labels of each part as indices into them."""
    arrays = [_one_axis(array) for array in arrays]
    # names as HDF5 files hold them
    arrays = [
        np.char.decode(array.astype(np.bytes_), "utf-8", "backslashreplace") if array.dtype.kind == "S" else array
        for array in arrays
    ]
    twice = [name for name in class_names or () if list(class_names or ()).count(name) > 1]
    if twice:
        raise UserError(f"class_names must differ from each other, got {twice[0]!r} twice")
    if any(array.dtype.kind in "US" for array in arrays):
        names = tuple(class_names or sorted({str(label) for label in arrays[0].tolist()}))
        _check_count(names)
        places = {name: place for place, name in enumerate(names)}
        for label in (label for array in arrays for label in map(str, array.tolist())):
            if label not in places:
                raise UserError(f"unknown class {label!r} in labels; the known classes are {', '.join(names)}")
        return names, [torch.tensor([places[str(label)] for label in array.tolist()]) for array in arrays]
    for array in arrays:
        if array.dtype.kind not in "uif" or not np.isfinite(array).all() or not _is_whole(array[None]):
            raise UserError(f"labels must be whole numbers or names, got {array.dtype} such as {array[:3].tolist()}")
    low, high = min(int(array.min()) for array in arrays), max(int(array.max()) for array in arrays)
    count = len(class_names) if class_names is not None else high + 1
    if low == 1 and (class_names is None or high == count):
        raise UserError(f"labels must start at 0, got {low} to {high}; subtract 1 from them")
    if low < 0 or high >= count:
        raise UserError(f"labels must be 0 to {count - 1}, got {low} to {high}")
    if class_names is None and count > max(2 * len(np.unique(arrays[0])), 10):
        raise UserError(f"labels must be 0, 1 and so on, got {len(np.unique(arrays[0]))} values up to {high}")
    names = tuple(class_names) if class_names is not None else tuple(map(str, range(count)))
    _check_count(names)
    return names, [torch.from_numpy(array.astype(np.int64)) for array in arrays]


def _check_count(names: Sequence[str]) -> None:
    if len(names) < 2:
        raise UserError(f"at least two classes are needed, got {len(names)}")


def _one_axis(labels: Array) -> Array:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or len(labels) == 0:
        raise UserError(
            f"labels must be one number for each image, got shape {labels.shape}; use argmax(1) for one-hot rows (rows "
            "with several ones are not supported)"
        )
    return labels


def _hold_out_test(data: ImageData, name: str) -> tuple[ImageData, ImageData]:
    for class_name, count in zip(data.class_names, data.counts(), strict=True):
        if count == 1:
            raise UserError(f"{name}: the class {class_name!r} has 1 image, at least 2 are needed")
    assert data.keys is not None
    kept, held = hold_out_by_hash(data.keys, data.labels, _TEST_SHARE, salt="test")
    return data.select(kept), data.select(held)

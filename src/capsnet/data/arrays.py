"""Images that are arrays already: in memory, in a `.npz` file, or as a table of pixels (`.csv`, as on Kaggle)."""

import math
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from capsnet.data.dataset import Dataset, ImageData
from capsnet.data.holdout import hash_images, hold_out_by_hash
from capsnet.data.pixels import ImageInfo, check_range, decide_range
from capsnet.data.survey import describe_classes
from capsnet.errors import UserError

Array = NDArray[np.generic]
Pair = tuple[ArrayLike, ArrayLike]

_TEST_SHARE = 0.2
_MOST_BYTES = 4 << 30
# zeros pack a thousand times, images hardly a hundred
_LARGE_BYTES, _MOST_RATIO = 1 << 28, 200
_CHANNELS = (1, 3)
_NPZ_NAMES = (("images", "labels"), ("x_train", "y_train"))
_NPZ_TEST_NAMES = (("test_images", "test_labels"), ("x_test", "y_test"))
# characters of a first line
_LONGEST_LINE = 1 << 24
_LABEL_COLUMNS = ("label", "labels", "class", "target", "y")
_FAULTS = (OSError, EOFError, ValueError, KeyError, NotImplementedError, RuntimeError, OverflowError, MemoryError)


def make_dataset(
    images: ArrayLike,
    labels: ArrayLike,
    class_names: Sequence[str] | None = None,
    *,
    test: Pair | None = None,
    pixel_range: tuple[float, float] | None = None,
    name: str = "arrays",
) -> Dataset:
    """Make a data set of arrays.

    Without test images, about a fifth of each class is held out as the test split, by a hash of each image's pixels:
    neither its position nor other images matter, and copies lie on the same side.

    Args:
        images: uint8 from 0 to 255, or other numbers; their order of axes is taken from the sizes.
        labels: whole numbers from 0, or names of classes.
        class_names: of the labels 0, 1 and so on; None: the numbers, or the names that `labels` holds.
        test: images and labels of the test split.
        pixel_range: values that become 0 and 255, of images that are not uint8; None: as `decide_range` chooses.
        name: of the data set.

    Shapes:
        images `m h w`, `m h w c` or `m c h w` with 1 or 3 channels; labels `m` or `m 1`.

    Raises:
        UserError: arrays of other shapes or types, values that are not finite, labels that are not from 0, or too few
            images of a class to hold any out.

    Example:
        >>> make_dataset(x_train, y_train, test=(x_test, y_test))
    """
    pairs = [(images, labels)] if test is None else [(images, labels), test]
    arrays = [_as_array(values, "images") for values, _ in pairs]
    arrays = [_channels_first(values) for values in arrays]
    pixel_range = _find_range(arrays, pixel_range)
    pixels = [_to_pixels(values, pixel_range) for values in arrays]
    if len(pixels) > 1 and pixels[0].shape[1:] != pixels[1].shape[1:]:
        shapes = [tuple(part.shape[1:]) for part in pixels]
        raise UserError(f"{name}: training images are {shapes[0]}, test images {shapes[1]}; both must have one shape")
    names, numbers = _read_labels([_as_array(values, "labels") for _, values in pairs], class_names)
    notes = []
    if pixel_range not in (None, (0, 255)):
        assert pixel_range is not None
        notes.append(f"Pixel values of {pixel_range[0]:g} are read as black, of {pixel_range[1]:g} as white.")
    parts = [ImageData(part, label, names, keys=hash_images(part)) for part, label in zip(pixels, numbers, strict=True)]
    if test is None:
        parts = list(_hold_out_test(parts[0], name))
        total = len(parts[0]) + len(parts[1])
        notes.append(f"{len(parts[1])} of {total} images are held out as the test split, by a hash of their pixels.")
    notes += describe_classes(names, parts[0].counts())
    return Dataset(name, parts[0], parts[1], notes=tuple(notes), pixel_range=pixel_range)


def load_arrays(path: Path, *, pixel_range: tuple[float, float] | None = None) -> Dataset:
    """Read a data set from a `.npz` or a `.csv` file.

    A `.npz` file holds `images` and `labels`, and where it likes `test_images` and `test_labels`; or `x_train`,
    `y_train`, `x_test` and `y_test`, as Keras has them. A `.csv` file has a column `label` and a column for each
    pixel of a square image, with a header; without one, the label is the first column.

    Args:
        path: the file.
        pixel_range: values that become 0 and 255, of images that are not uint8; None: as `decide_range` chooses.

    Raises:
        UserError: another kind of file, one that is damaged or too large, or arrays that make no data set.
    """
    kind = path.suffix.lower()
    if not path.is_file():
        raise UserError(f"{path}: is not a regular file")
    if kind == ".npz":
        pairs = _read_npz(path)
    elif kind == ".csv":
        pairs = [_read_csv(path)]
    else:
        raise UserError(
            f"{path}: is a file that holds no data set; give a folder with a folder of images for each class, a .npz "
            "file of images and labels, or a .csv file of pixels"
        )
    try:
        images, labels = pairs[0]
        test = pairs[1] if len(pairs) > 1 else None
        return make_dataset(images, labels, test=test, pixel_range=pixel_range, name=str(path))
    except UserError as fault:
        message = str(fault)
        raise UserError(message if message.startswith(str(path)) else f"{path}: {message}") from None


def _as_array(values: ArrayLike, what: str) -> Array:
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.dtype == object:
        raise UserError(f"{what} must be one array of numbers, got objects (such as rows of different lengths)")
    return array


def _channels_first(images: Array) -> Array:
    """`m c h w` of images in any of the usual orders of axes."""
    shape = images.shape
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and shape[1] in _CHANNELS and shape[3] in _CHANNELS:
        raise UserError(f"images of shape {shape} may be m c h w or m h w c; channels cannot be told from sides")
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
        return pixel_range
    infos = [_describe_values(array) for array in arrays if array.dtype != np.uint8]
    if not infos:
        return None
    if len(infos) < len(arrays):
        raise UserError("training and test images must be of one type, got uint8 and another; give pixel_range")
    low, high = min(info.low for info in infos), max(info.high for info in infos)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    # whole numbers up to 255 are bytes in a wider type
    if low >= 0 and high <= 255 and all(map(_is_whole, arrays)):
        return 0.0, 255.0
    return decide_range(infos)


def _describe_values(array: Array) -> ImageInfo:
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = next(k for k, image in enumerate(array) if not np.isfinite(image).all())
        raise UserError(f"image {bad} has values that are not finite (NaN or infinite)")
    mode = "F" if array.dtype.kind == "f" else "I"
    return ImageInfo("images", 1, 1, mode, color=False, deep=True, low=low, high=high)


def _is_whole(array: Array) -> bool:
    return all(bool((part == np.floor(part)).all()) for part in array)


def _to_pixels(images: Array, pixel_range: tuple[float, float] | None) -> UInt8[Tensor, "m c h w"]:
    if pixel_range is None:
        return torch.from_numpy(np.ascontiguousarray(images))
    low, high = pixel_range
    pixels = np.empty(images.shape, np.uint8)
    # image by image: floats of all of them would need eight times the memory
    for image, pixel in zip(images, pixels, strict=True):
        shares = (image.astype(np.float64) - low) / (high - low)
        pixel[...] = np.rint(shares.clip(0, 1) * 255)
    return torch.from_numpy(pixels)


def _read_labels(arrays: Sequence[Array], class_names: Sequence[str] | None) -> tuple[tuple[str, ...], list[Tensor]]:
    """Names of the classes and the labels of each part as indices into them."""
    arrays = [_one_axis(array) for array in arrays]
    if any(array.dtype.kind in "US" for array in arrays):
        names = tuple(class_names or sorted({str(label) for label in arrays[0].tolist()}))
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
    if len(names) < 2:
        raise UserError(f"at least two classes are needed, got {len(names)}")
    return names, [torch.from_numpy(array.astype(np.int64)) for array in arrays]


def _one_axis(labels: Array) -> Array:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or len(labels) == 0:
        raise UserError(
            f"labels must be one number for each image, got shape {labels.shape}; of one-hot rows take argmax(1)"
        )
    return labels


def _hold_out_test(data: ImageData, name: str) -> tuple[ImageData, ImageData]:
    for class_name, count in zip(data.class_names, data.counts(), strict=True):
        if count == 1:
            raise UserError(f"{name}: the class {class_name!r} has 1 image, at least 2 are needed")
    assert data.keys is not None
    kept, held = hold_out_by_hash(data.keys, data.labels, _TEST_SHARE, salt="test")
    return data.select(kept), data.select(held)


def _read_npz(path: Path) -> list[tuple[Array, Array]]:
    """Training images and labels, and test images and labels where the file holds them."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(path, archive)
        with np.load(path, allow_pickle=False) as file:
            held = set(file.files)
            chosen = [next((pair for pair in _NPZ_NAMES if held >= set(pair)), None)]
            chosen.append(next((pair for pair in _NPZ_TEST_NAMES if held >= set(pair)), None))
            if chosen[0] is None:
                raise UserError(
                    f"{path}: holds {', '.join(sorted(held)) or 'no arrays'}; expected the arrays images and labels, "
                    "or x_train and y_train"
                )
            return [(file[pair[0]], file[pair[1]]) for pair in chosen if pair is not None]
    except UserError:
        raise
    except (*_FAULTS, zipfile.BadZipFile, zlib.error) as fault:
        raise UserError(f"{path}: cannot be read as a .npz file ({_one_line(fault)})") from None


def _check_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    for entry in archive.infolist():
        size, packed = entry.file_size, max(entry.compress_size, 1)
        if size > _MOST_BYTES or (size > _LARGE_BYTES and size > _MOST_RATIO * packed):
            raise UserError(
                f"{path}: {entry.filename} unpacks from {packed:,} to {size:,} bytes, too much to read safely; "
                "save it as uint8 with numpy.savez"
            )


def _read_csv(path: Path) -> tuple[Array, Array]:
    """Images and labels of a table with a row for each image."""
    try:
        if path.stat().st_size > _MOST_BYTES // 2:
            raise UserError(f"{path}: is larger than 2 GB; save its arrays with numpy.savez as a .npz file")
        with path.open(encoding="utf-8-sig") as file, warnings.catch_warnings():
            # of no rows, which are refused below
            warnings.simplefilter("ignore", UserWarning)
            first = file.readline(_LONGEST_LINE).strip()
            header = None if _are_numbers(first.split(",")) else [cell.strip(' "').lower() for cell in first.split(",")]
            column = _label_column(path, header, first.count(",") + 1)
            if header is None:
                file.seek(0)
            table = np.loadtxt(file, dtype=np.float32, delimiter=",", ndmin=2)
    except UserError:
        raise
    except _FAULTS as fault:
        raise UserError(f"{path}: cannot be read as a table of numbers ({_one_line(fault)})") from None
    if len(table) == 0:
        raise UserError(f"{path}: holds no rows")
    pixels = np.delete(table, column, axis=1)
    side = math.isqrt(pixels.shape[1])
    return pixels.reshape(len(pixels), side, side), table[:, column]


def _label_column(path: Path, header: Sequence[str] | None, columns: int) -> int:
    if header is not None:
        named = [name for name in _LABEL_COLUMNS if name in header]
        if not named:
            raise UserError(f"{path}: has no column 'label', its first columns are {', '.join(header[:3])}")
        column = header.index(named[0])
    elif math.isqrt(columns) ** 2 == columns:
        raise UserError(f"{path}: its {columns} columns are the pixels of a square image, so there is no label column")
    else:
        column = 0
    if columns < 2 or math.isqrt(columns - 1) ** 2 != columns - 1:
        raise UserError(f"{path}: has {columns - 1} columns beside the label; a square image is needed, such as 784")
    return column


def _are_numbers(cells: Sequence[str]) -> bool:
    try:
        return [float(cell) for cell in cells] != []
    except ValueError:
        return False


def _one_line(fault: BaseException) -> str:
    return " ".join(str(fault).split()) or type(fault).__name__

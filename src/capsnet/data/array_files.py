"""Image arrays in files: `.npz` of NumPy and Keras, and tables of pixels (`.csv`, as on Kaggle)."""

import math
import re
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from capsnet.data.arrays import Array, make_dataset
from capsnet.data.dataset import Dataset
from capsnet.errors import UserError

_MOST_BYTES = 4 << 30
# largest accepted compression ratio: zeros reach 1000, images rarely 100
_LARGE_BYTES, _MOST_RATIO = 1 << 28, 200
_NPZ_NAMES = (("images", "labels"), ("x_train", "y_train"))
_NPZ_TEST_NAMES = (("test_images", "test_labels"), ("x_test", "y_test"))
# most characters read of the first line
_LONGEST_LINE = 1 << 24
_LABEL_COLUMNS = ("label", "labels", "class", "target", "y")
_FAULTS = (OSError, EOFError, ValueError, KeyError, NotImplementedError, RuntimeError, OverflowError, MemoryError)


def load_arrays(path: Path, *, pixel_range: tuple[float, float] | None = None) -> Dataset:
    """Read a data set from a `.npz` or a `.csv` file.

    A `.npz` file holds `images` and `labels`, optionally `test_images` and `test_labels`; or `x_train`, `y_train`,
    `x_test` and `y_test`, as in Keras. A `.csv` file has a header, a column `label` and one column for each pixel of a
    square image; without a header, the label is the first column.

    Args:
        path: the file.
        pixel_range: values that become 0 and 255; None: 0 and 255 of uint8 images, else chosen by `decide_range`.

    Raises:
        UserError: a file of another format, damaged or too large, or arrays that do not form a data set.
    """
    kind = path.suffix.lower()
    unread: tuple[str, ...] = ()
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if not path.is_file():
        raise UserError(f"{path} is not a regular file")
    if kind == ".npz":
        pairs, unread = _read_npz(path)
    elif kind == ".csv":
        pairs = [_read_csv(path)]
    else:
        raise UserError(
            f"{path} is a file that holds no data set; give a folder with a folder of images for each class, a .npz "
            "file of images and labels, or a .csv file of pixels"
        )
    try:
        images, labels = pairs[0]
        test = pairs[1] if len(pairs) > 1 else None
        dataset = make_dataset(images, labels, test=test, pixel_range=pixel_range, name=str(path))
    except UserError as fault:
        message = str(fault)
        raise UserError(message if message.startswith(str(path)) else f"{path}: {message}") from None
    notes = (f"Not read, as their names are unknown: {', '.join(unread)}.",) if unread else ()
    return replace(dataset, notes=(*dataset.notes, *notes))


def _read_npz(path: Path) -> tuple[list[tuple[Array, Array]], tuple[str, ...]]:
    """Training images and labels, test images and labels if the file holds them, and the names of other arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(path, archive)
        with np.load(path, allow_pickle=False) as file:
            held = set(file.files)
            chosen = [next((pair for pair in _NPZ_NAMES if held >= set(pair)), None)]
            chosen.append(next((pair for pair in _NPZ_TEST_NAMES if held >= set(pair)), None))
            if chosen[0] is None:
                raise UserError(
                    f"{path} holds {', '.join(sorted(held)) or 'no arrays'}; expected the arrays images and labels, "
                    "or x_train and y_train"
                )
            pairs = [pair for pair in chosen if pair is not None]
            unread = tuple(sorted(held.difference(*pairs)))
            return [(file[pair[0]], file[pair[1]]) for pair in pairs], unread
    except UserError:
        raise
    except (*_FAULTS, zipfile.BadZipFile, zlib.error) as fault:
        raise UserError(f"{path} cannot be read as a .npz file ({_one_line(fault)})") from None


def _check_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    for entry in archive.infolist():
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(f"{path}: {entry.filename} is not compressed by deflate; use numpy.savez")
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
            raise UserError(f"{path} is larger than 2 GB; save its arrays with numpy.savez as a .npz file")
        with path.open(encoding="utf-8-sig") as file, warnings.catch_warnings():
            # NumPy's warning about an empty file: no rows are refused below
            warnings.simplefilter("ignore", UserWarning)
            first = file.readline(_LONGEST_LINE).strip()
            header = None if _are_numbers(first.split(",")) else [cell.strip(' "').lower() for cell in first.split(",")]
            columns = first.count(",") + 1
            column = _label_column(path, header, columns)
            if header is None:
                file.seek(0)
            table = np.loadtxt(file, dtype=np.float32, delimiter=",", ndmin=2)
    except UserError:
        raise
    except _FAULTS as fault:
        raise UserError(f"{path} cannot be read as a table of numbers ({_one_line(fault)})") from None
    if len(table) == 0:
        raise UserError(f"{path} holds no rows")
    if table.shape[1] != columns:
        raise UserError(f"{path}: its rows have {table.shape[1]} columns, its first line has {columns}")
    pixels = np.delete(table, column, axis=1)
    if header is not None:
        pixels = pixels[:, _pixel_order(header[:column] + header[column + 1 :])]
    side = math.isqrt(pixels.shape[1])
    return pixels.reshape(len(pixels), side, side), table[:, column]


def _pixel_order(names: Sequence[str]) -> list[int]:
    """The columns in the order of the numbers in their names (pixel0, pixel1; or 1x1, 1x2), else as they are."""
    numbers = [tuple(map(int, re.findall(r"\d+", name))) for name in names]
    words = {re.sub(r"\d+", "#", name) for name in names}
    if len(words) != 1 or not numbers[0] or len(set(numbers)) < len(numbers):
        return list(range(len(names)))
    return sorted(range(len(names)), key=numbers.__getitem__)


def _label_column(path: Path, header: Sequence[str] | None, columns: int) -> int:
    if header is not None:
        named = [name for name in _LABEL_COLUMNS if name in header]
        if not named:
            raise UserError(f"{path} has no column 'label', its first columns are {', '.join(header[:3])}")
        column = header.index(named[0])
    elif math.isqrt(columns) ** 2 == columns:
        raise UserError(f"{path}: its {columns} columns are the pixels of a square image, so there is no label column")
    else:
        column = 0
    if columns < 2 or math.isqrt(columns - 1) ** 2 != columns - 1:
        raise UserError(f"{path} has {columns - 1} columns beside the label; a square image is needed, such as 784")
    return column


def _are_numbers(cells: Sequence[str]) -> bool:
    try:
        return [float(cell) for cell in cells] != []
    except ValueError:
        return False


def _one_line(fault: BaseException) -> str:
    return " ".join(str(fault).split()) or type(fault).__name__

"""Reader of IDX files, the format of MNIST: big-endian magic number, sizes, then the array in C order."""

import struct
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from capsnet.data.dataset import ImageData
from capsnet.data.files import open_packed, read_most, read_values
from capsnet.errors import UserError

_UINT8 = 0x08
_MOST_BYTES, _MOST_LABELS = 500_000_000, 2_000_000


def read_idx(path: Path, axes: int, most: int = _MOST_BYTES) -> Tensor:
    """Read a uint8 IDX file, compressed (`.gz`) or plain.

    Args:
        path: the file.
        axes: required number of axes: 3 for images, 1 for labels.
        most: the largest accepted size of the array in bytes.

    Raises:
        UserError: a file that is missing, truncated or too long, or fails a check; the message names file and check.
    """
    with open_packed(path) as read:
        header = read_most(read, 4 + 4 * axes)
        shape = _read_shape(path, header, axes)
        if prod(shape) > most:
            raise UserError(
                f"{path} must hold at most {most:,} bytes, its header says {'x'.join(map(str, shape))}; fetch it again"
            )
        return torch.from_numpy(read_values(read, path, header, shape, np.dtype(np.uint8)))


def _read_shape(path: Path, data: bytearray, axes: int) -> tuple[int, ...]:
    """The sizes in the header."""
    if len(data) < 4 or data[:2] != b"\0\0":
        raise UserError(f"{path}: not an IDX file (magic number {data[:4].hex() or 'missing'}); fetch it again")
    kind, stored = data[2], data[3]
    if kind != _UINT8 or stored != axes:
        raise UserError(
            f"{path} must hold uint8 values on {axes} axes (magic number 0000080{axes}), got {data[:4].hex()}; "
            "are the images and labels files exchanged?"
        )
    header = 4 + 4 * axes
    if len(data) < header:
        raise UserError(f"{path}: truncated in the header, {len(data)} of {header} bytes; fetch it again")
    shape: tuple[int, ...] = struct.unpack(f">{axes}I", data[4:])
    if 0 in shape:
        raise UserError(f"{path} holds nothing, its header says {'x'.join(map(str, shape))}; fetch it again")
    return shape


def read_image_data(images: Path, labels: Path, class_names: tuple[str, ...]) -> ImageData:
    """Read a pair of IDX files.

    Raises:
        UserError: a file that fails a check, or files of different counts.
    """
    pixels, classes = read_idx(images, 3)[:, None], read_idx(labels, 1, _MOST_LABELS)
    if len(pixels) != len(classes):
        raise UserError(f"{images} holds {len(pixels)} images but {labels} {len(classes)} labels; fetch both again")
    if int(classes.max()) >= len(class_names):
        raise UserError(f"{labels}: labels must be 0 to {len(class_names) - 1}, got {int(classes.max())}")
    return ImageData(pixels, classes.long(), class_names)

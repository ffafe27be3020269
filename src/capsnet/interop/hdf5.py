"""Read arrays from Keras' HDF5 files: weights or whole models of Keras 1 and 2, `.weights.h5` and `.keras` of Keras 3.

No layer is built and nothing in a file is executed: names and sizes are checked before numbers are read. The layouts
are those of `keras/src/legacy/saving/legacy_h5_format.py` and `keras/src/saving/saving_lib.py`.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from capsnet.errors import UserError
from capsnet.interop.hdf5_heaps import check_heaps
from capsnet.runs.files import write_bytes
from capsnet.runs.typed import parse_json

if TYPE_CHECKING:
    import h5py

MAX_NUMBERS = 1 << 28
"""The largest number of values in a file, in all arrays together: 1 GB in float32."""
MAX_OBJECTS = 10_000
"""The largest number of groups and arrays in a file."""
_MAX_TEXT = 1 << 24
# deflate packs zeros into a 1,032nd; HDF5 gives values that a file does not hold as zeros, any number of them
_MAX_PACKED = 1032
# groups of Keras 3 that do not belong to a layer
_NOT_WEIGHTS = ("optimizer", "seed_generator", "metrics", "loss_tracker")

# exceptions of h5py, zipfile and NumPy for damaged files
_FAULTS = (
    OSError,
    EOFError,
    RuntimeError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)

Array = NDArray[np.float32]


@dataclass(frozen=True)
class KerasLayer:
    """A layer's weights, in the order in which Keras wrote them.

    Args:
        name: the layer's path in the file.
        weights: arrays by the last part of their names, such as `kernel:0`.
    """

    name: str
    weights: Mapping[str, Array]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the arrays."""
        return tuple(array.shape for array in self.weights.values())

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The arrays."""
        return tuple(self.weights.values())


@dataclass(frozen=True)
class KerasFile:
    """The content of a Keras file.

    Args:
        layers: layers with weights, in the model's order.
        config: the model's description; empty for a file of weights only.
    """

    layers: tuple[KerasLayer, ...]
    config: Mapping[str, object]

    def find_options(self, *names: str) -> set[object]:
        """All values that the layers of the model's description have under any of these names."""
        return {value for key, value in _entries(self.config) if key in names}


def _entries(value: object) -> Iterator[tuple[str, object]]:
    """All entries of nested objects whose values are numbers or words."""
    if isinstance(value, dict):
        for key, part in value.items():
            if isinstance(part, dict | list):
                yield from _entries(part)
            else:
                yield key, part
    elif isinstance(value, list):
        for part in value:
            yield from _entries(part)


def import_h5py() -> Any:
    """Import h5py.

    Raises:
        UserError: h5py is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError:
        raise UserError("Keras files need an extra: pip install 'capsnet[keras]'") from None
    return h5py


def read_keras_file(path: Path) -> KerasFile:
    """Read the layers of a Keras file.

    Raises:
        UserError: no such file, not an HDF5 file of Keras' weights, more values or objects than `MAX_NUMBERS` and
            `MAX_OBJECTS`, arrays of other types than real numbers, bfloat16 numbers, or data stored in other
            files.
    """
    h5py = import_h5py()
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        if zipfile.is_zipfile(path):
            return _read_archive(h5py, path)
        check_heaps(path)
        with h5py.File(path, "r") as file:
            return _read(file, path, {}, path.stat().st_size)
    except _FAULTS as fault:
        if isinstance(fault, UserError):
            raise
        raise UserError(f"{path} cannot be read as a Keras file ({_first_line(fault)})") from None


def _first_line(fault: Exception) -> str:
    return str(fault).strip("'\" ").split("\n")[0]


def _read_archive(h5py: Any, path: Path) -> KerasFile:
    """A `.keras` file: a zip archive with `config.json` and `model.weights.h5`."""
    with zipfile.ZipFile(path) as archive:
        sizes = {item.filename: item.file_size for item in archive.infolist()}
        if any(item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for item in archive.infolist()):
            raise UserError(f"{path} is not compressed by deflate; save the model again")
        limits = {"config.json": _MAX_TEXT, "model.weights.h5": 4 * MAX_NUMBERS + _MAX_TEXT}
        for name, limit in limits.items():
            if name not in sizes:
                raise UserError(f"{path} is a zip archive without {name}; a .keras file has one")
            if sizes[name] > limit:
                raise UserError(f"{path}: its {name} has {sizes[name]:,} bytes, the limit is {limit:,}")
        config = _parse(archive.read("config.json"), path)
        weights = archive.read("model.weights.h5")
        check_heaps(weights)
        with h5py.File(io.BytesIO(weights), "r") as file:
            return _read(file, path, config, len(weights))


def _read(file: "h5py.File", path: Path, config: Mapping[str, object], size: int) -> KerasFile:
    arrays = _find_arrays(file, path)
    needed = sum(prod(array.shape) * array.dtype.itemsize for array in arrays.values())
    if needed > _MAX_PACKED * size:
        raise UserError(f"{path} has {size:,} bytes, and states arrays of {needed:,} bytes; save the weights again")
    root = _member(file, "model_weights") or file
    if "layer_names" in root.attrs or "layer_names0" in root.attrs:
        names = _keras_2_names(root, path)
        if "model_config" in file.attrs:
            config = _parse(file.attrs["model_config"], path)
    else:
        names = _keras_3_names(arrays)
    layers: dict[str, dict[str, Array]] = {}
    for name in names:
        if name not in arrays:
            raise UserError(f"{path}: names the weight {name!r} but does not hold it; save the weights again")
        layer, _, weight = name.removeprefix("model_weights/").rpartition("/")
        layers.setdefault(layer, {})[weight] = arrays[name][()].astype(np.float32)
    return KerasFile(tuple(KerasLayer(name, weights) for name, weights in layers.items()), config)


def _find_arrays(file: "h5py.File", path: Path) -> "dict[str, h5py.Dataset]":
    """All arrays by path, after checking that they can be read safely."""
    h5py = import_h5py()
    datasets = {}
    count = 0

    # links into other files are not followed here
    def visit(name: str, item: object) -> bool | None:
        nonlocal count
        count += 1
        if isinstance(item, h5py.Dataset) and not name.startswith(("optimizer", "model_weights/optimizer")):
            datasets[name] = item
        return True if count > MAX_OBJECTS else None

    if file.visititems(visit):
        raise UserError(f"{path} holds more than {MAX_OBJECTS:,} groups and arrays, the limit")
    for name, array in datasets.items():
        if array.is_virtual or array.external:
            raise UserError(f"{path}: the numbers of {name!r} lie in other files, which are not read")
        if array.attrs.get("dtype") == "bfloat16":
            raise UserError(
                f"{path}: {name!r} holds bfloat16 numbers, which are not read; save the model again in float32"
            )
    # counters and states of random generators are integers
    datasets = {name: array for name, array in datasets.items() if array.dtype.kind == "f"}
    total = sum(prod(array.shape) for array in datasets.values())
    if total > MAX_NUMBERS:
        raise UserError(f"{path} holds {total:,} numbers, the limit is {MAX_NUMBERS:,}")
    return datasets


def _keras_2_names(root: "h5py.Group", path: Path) -> list[str]:
    """The paths of all weights in the order of layers, which the attributes of the file's groups name."""
    prefix = root.name.strip("/")
    names = []
    for layer in _words(root, "layer_names", path):
        group = _member(root, layer)
        if group is None:
            raise UserError(f"{path}: names the layer {layer!r} but does not hold it; save the weights again")
        names += ["/".join(filter(None, (prefix, layer, weight))) for weight in _words(group, "weight_names", path)]
    return names


def _member(group: "h5py.Group", name: str) -> "h5py.Group | None":
    """A group inside another; links, which may lead into other files, are not followed."""
    h5py = import_h5py()
    for part in filter(None, name.split("/")):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink) or group.get(part, getclass=True) != h5py.Group:
            return None
        group = group[part]
    return group


def _words(group: "h5py.Group", name: str, path: Path) -> list[str]:
    """A list of names in an attribute; Keras splits a long list over numbered attributes."""
    pieces = [name] if name in group.attrs else []
    while pieces[:1] != [name] and f"{name}{len(pieces)}" in group.attrs:
        pieces.append(f"{name}{len(pieces)}")
    words: list[str] = []
    for piece in pieces:
        if prod(group.attrs.get_id(piece).shape or ()) > MAX_OBJECTS:
            raise UserError(f"{path}: the attribute {piece!r} has more than {MAX_OBJECTS:,} names")
        words += [word.decode("utf-8") if isinstance(word, bytes) else str(word) for word in group.attrs[piece]]
    return words


def _keras_3_names(arrays: "Mapping[str, h5py.Dataset]") -> list[str]:
    """The paths of all weights; Keras 3 numbers layers of the same class: dense, dense_1, ..., dense_10."""
    names = [name for name in arrays if not any(part.startswith(_NOT_WEIGHTS) for part in name.split("/"))]
    return sorted(names, key=lambda name: [_numbered(part) for part in name.split("/")])


def _numbered(part: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.*?)_?(\d+)", part)
    return (match[1], int(match[2])) if match else (part, -1)


def _parse(text: bytes | str, path: Path) -> Mapping[str, object]:
    """A model's description; nothing in it is built."""
    config = parse_json(text, f"{path}: the description of the model")
    return config if isinstance(config, dict) else {}


def write_keras_2(path: Path, layers: Sequence[tuple[str, Mapping[str, Array]]]) -> None:
    """Write weights as `save_weights` of Keras 2 did, which `load_weights` of Keras 2 and 3 reads.

    Args:
        path: the new file.
        layers: name and arrays of each layer, in the order of the model, with Keras' names of arrays.
    """
    h5py = import_h5py()
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name, _ in layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.2.4"
        for name, arrays in layers:
            group = file.create_group(name)
            group.attrs["weight_names"] = [weight.encode() for weight in arrays]
            for weight, array in arrays.items():
                group.create_dataset(weight, data=array)
    write_bytes(path, memory.getvalue())

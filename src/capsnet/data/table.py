"""Image classification data sets of the package `datasets`, from a folder or from the Hugging Face Hub.

Rows are read from memory-mapped Arrow files, one at a time; images are decoded by capsnet, not by `datasets`.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from capsnet.data.labels import Label, check_names, index_labels
from capsnet.data.layout import SPLIT_NAMES, ClassFile, Layout, Split
from capsnet.data.sources import file_state, make_key
from capsnet.data.table_name import TableName
from capsnet.errors import UserError

_MOST_IMAGE_BYTES = 256 << 20
_COLUMN = "label"


@runtime_checkable
class _Feature(Protocol):
    """The type of a column: of `datasets.ClassLabel` with names, of `datasets.Value` with a dtype."""

    names: list[str]
    dtype: str


@runtime_checkable
class _Table(Protocol):
    """What is used of `datasets.Dataset`."""

    features: Mapping[str, _Feature]
    cache_files: list[dict[str, str]]

    def __len__(self) -> int: ...
    def __getitem__(self, key: int | str, /) -> object: ...
    def cast_column(self, column: str, feature: object, /) -> "_Table": ...
    def select_columns(self, column: str, /) -> "_Table": ...


@runtime_checkable
class _Package(Protocol):
    """What is used of the package `datasets`."""

    load_from_disk: Callable[[str], object]
    load_dataset: Callable[[str], object]
    DatasetDict: type
    Image: Callable[..., object]
    ClassLabel: type
    Value: type


class TableFiles:
    """Images in the rows of tables, by name: the data set's name of the split, `/`, and the row's number.

    Args:
        place: where the tables are from.
        tables: by the data set's names of its splits, with the column of images only.
    """

    def __init__(self, place: str, tables: Mapping[str, _Table]) -> None:
        self._place, self._tables = place, tables

    @property
    def place(self) -> str:
        """Where the tables are from."""
        return self._place

    def locate(self, name: str) -> str:
        """The place, and the image's name."""
        return f"{self._place}/{name}"

    def open(self, name: str) -> BytesIO:
        """An image's file."""
        split, _, row = name.partition("/")
        table = self._tables[split]
        (column,) = table.features
        record = cast(Mapping[str, Mapping[str, object] | None], table[int(row)])[column]
        data = record.get("bytes") if record is not None else None
        if data is None and record is not None and isinstance(path := record.get("path"), str):
            data = _read_file(Path(path), self.locate(name))
        if not isinstance(data, bytes):
            raise UserError(f"{self.locate(name)} has no image")
        if len(data) > _MOST_IMAGE_BYTES:
            raise UserError(f"{self.locate(name)} has {len(data):,} bytes, at most {_MOST_IMAGE_BYTES:,} are read")
        return BytesIO(data)

    def keys(self, names: Sequence[str]) -> list[bytes]:
        """Of each row, and of the sizes and times of change of its table's files."""
        states = {
            split: [file_state(Path(file["filename"])) for file in table.cache_files]
            for split, table in self._tables.items()
        }
        return [make_key(name, states[name.partition("/")[0]]) for name in names]


def find_table(name: TableName, *, class_names: Sequence[str] | None = None) -> tuple[TableFiles, Layout]:
    """Load the tables of a data set, and find their images, labels and splits.

    The column of images is the one of type `Image`; that of labels the one of type `ClassLabel`, else the one named
    `label` of whole numbers or texts.

    Args:
        name: a folder (of `save_to_disk`, or of files that `load_dataset` reads), or a name on the Hub; and the split
            that is trained on, of which a part is then held out as the test split.
        class_names: the classes of a trained model; None: those of the data set.

    Raises:
        UserError: the package `datasets` is missing, a data set that it cannot load, or one without such columns.
    """
    package = _import_datasets()
    parts = _choose_splits(_load(package, name), name, may_lack_training=class_names is not None)
    tables: dict[str, _Table] = {}
    labels: dict[str, Sequence[Label]] = {}
    listed: Sequence[str] | None = None
    for split, (_, table) in parts.items():
        image, label = _find_columns(package, table, name)
        feature = table.features[label]
        if isinstance(feature, package.ClassLabel):
            if listed is not None and list(listed) != feature.names:
                raise UserError(f"{name}: its splits differ in their classes")
            listed = feature.names
            check_names(listed, str(name))
        tables[parts[split][0]] = table.select_columns(image).cast_column(image, package.Image(decode=False))
        labels[split] = _read_labels(table, label, f"{name}: {split}")
    classes, indices = index_labels(labels, str(name), listed, class_names)
    splits: dict[Split, tuple[ClassFile, ...]] = {
        split: tuple(ClassFile(f"{own}/{row}", label) for row, label in enumerate(indices[split]))
        for split, (own, _) in parts.items()
    }
    counts = ", ".join(f"{len(part):,} of {split}" for split, part in splits.items())
    notes = (f"Images are read from the data set {name} by the package datasets: {counts}.",)
    roots = {split: Path(own) for split, (own, _) in parts.items()}
    return TableFiles(str(name), tables), Layout(Path(), classes, splits, roots, len(splits) > 1, notes, True)


def _import_datasets() -> _Package:
    try:
        return cast(_Package, importlib.import_module("datasets"))
    except ModuleNotFoundError:
        raise UserError("data of the form hf:NAME need an extra: pip install 'capsnet[datasets]'") from None


def _load(package: _Package, name: TableName) -> Mapping[str, _Table]:
    """The tables by the names that the data set gives them."""
    folder = Path(name.place)
    saved = any((folder / file).is_file() for file in ("state.json", "dataset_dict.json"))
    load = package.load_from_disk if saved else package.load_dataset
    try:
        loaded = load(str(folder.absolute()) if folder.is_dir() else name.place)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    # its loaders raise exceptions of many packages: of Arrow, of the Hub, of its own
    except Exception as fault:
        reason = " ".join(str(fault).split())[:200] or type(fault).__name__
        raise UserError(f"{name}: the package datasets cannot load it ({reason})") from None
    if isinstance(loaded, package.DatasetDict):
        return cast(Mapping[str, _Table], loaded)
    return {"train": cast(_Table, loaded)}


def _choose_splits(
    tables: Mapping[str, _Table], name: TableName, *, may_lack_training: bool
) -> dict[Split, tuple[str, _Table]]:
    known = ", ".join(tables)
    if name.split is not None:
        if name.split not in tables:
            raise UserError(f"{name}: it has no split {name.split!r}; its splits are {known}")
        return {"train": (name.split, tables[name.split])}
    if len(tables) == 1:
        return {"train": next(iter(tables.items()))}
    parts: dict[Split, tuple[str, _Table]] = {}
    for split in ("train", "validation", "test"):
        for other, table in tables.items():
            if SPLIT_NAMES.get(other.lower()) != split:
                continue
            if split in parts:
                raise UserError(
                    f"{name}: its splits {parts[split][0]!r} and {other!r} are both the {split} split; keep one"
                )
            parts[split] = (other, table)
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    if "train" not in parts and not may_lack_training:
        raise UserError(f"{name}: none of its splits is named train ({known}); choose one: {name}:SPLIT")
    return parts


def _find_columns(package: _Package, table: _Table, name: TableName) -> tuple[str, str]:
    """The names of the columns of images and of labels."""
    features = table.features
    images = [column for column, feature in features.items() if type(feature) is package.Image]
    labels = [column for column, feature in features.items() if isinstance(feature, package.ClassLabel)]
    if not labels and isinstance(features.get(_COLUMN), package.Value):
        labels = [_COLUMN]
    if len(labels) > 1 and _COLUMN in labels:
        labels = [_COLUMN]
    for columns, kind, remedy in (
        (images, "images (Image)", "cast_column gives a column this type"),
        (labels, f"labels (ClassLabel, or one named {_COLUMN!r})", f"rename_column names one {_COLUMN!r}"),
    ):
        if len(columns) != 1:
            got = ", ".join(map(repr, columns)) or f"none of {', '.join(map(repr, features))}"
            raise UserError(f"{name}: one column of {kind} is needed, got {got}; {remedy}")
    return images[0], labels[0]


def _read_labels(table: _Table, column: str, shown: str) -> list[Label]:
    labels = list(cast(Sequence[object], table[column])[:])
    for row, label in enumerate(labels):
        # -1 stands for a label that is not public
        if isinstance(label, bool) or not isinstance(label, int | str) or label == -1:
            got = "no label" if label is None or label == -1 else f"the label {label!r}"
            raise UserError(f"{shown}, row {row:,} has {got}; whole numbers or names are expected")
    return cast(list[Label], labels)


def _read_file(path: Path, shown: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_IMAGE_BYTES + 1)
    except OSError as fault:
        raise UserError(f"{shown}: its file {path} cannot be read ({fault.strerror})") from None

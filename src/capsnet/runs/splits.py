"""The training, validation and test images of a run: `splits.json` in its folder."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from capsnet.data import Dataset, ImageData
from capsnet.data.splits import check_record, split_record
from capsnet.errors import UserError
from capsnet.runs.files import write_json
from capsnet.runs.typed import read_json

Splits = Mapping[str, object]

_NAME, _VERSION = "splits.json", 1
_PARTS = ("train", "validation", "test")
# a folder that holds this share of the recorded files is the same data set
_SAME = 0.9
# number of files recorded with a digest: two sets of uncompressed images may have the same names and sizes
_DIGESTS = 20


def write_splits(run_folder: Path, dataset: Dataset, validation: ImageData | None) -> None:
    """Write the record of a run's images; for files also sizes and some digests, which tell a folder that was moved."""
    record = {"format_version": _VERSION, **split_record(dataset, validation)}
    splits = [split for split in (dataset.train, dataset.validation, dataset.test) if split is not None]
    files = [file for split in splits for file in split.files or ()]
    sizes = {file: size for file in files if (size := _size(Path(dataset.name) / file)) >= 0}
    # images in archives and tables are no files of their own
    if sizes:
        record["sizes"] = sizes
        some = list(sizes)[:: -(-len(sizes) // _DIGESTS)]
        record["digests"] = {file: _digest(Path(dataset.name) / file) for file in some}
    write_json(run_folder / _NAME, record)


def read_splits(run_folder: Path) -> Splits | None:
    """Read the record of a run's images; None if there is none.

    Raises:
        UserError: the file is not such a record.
    """
    path = run_folder / _NAME
    if not path.is_file():
        return None
    record = read_json(path)
    version = record.get("format_version") if isinstance(record, dict) else None
    if not isinstance(record, dict) or not isinstance(version, int):
        raise UserError(f"{path} is not the record of a run's images")
    if version > _VERSION:
        raise UserError(f"{path} is from a newer capsnet (format {version}); upgrade capsnet")
    return {str(key): value for key, value in record.items()}


def describe_changes(splits: Splits, dataset: Dataset, validation: ImageData | None) -> tuple[str, ...]:
    """Sentences on how a data set differs from a run's record; empty if it does not."""
    changes = check_record(splits, dataset, validation)
    if "sizes" in splits and not changes and not is_same_data(splits, Path(dataset.name)):
        changes = (f"More than a tenth of the files in {dataset.name} have other contents than when the run was made.",)
    return changes


def is_same_data(splits: Splits, data_folder: Path) -> bool:
    """Whether a folder holds at least 90 % of the files that a run recorded, by name and size, and some by content."""
    sizes, digests = splits.get("sizes"), splits.get("digests", {})
    if not isinstance(sizes, dict) or not sizes or not isinstance(digests, dict):
        return False
    same = [file for file, size in sizes.items() if _size(data_folder / str(file)) == size]
    # records of older versions have no digests
    equal = [file for file, digest in digests.items() if _digest(data_folder / str(file)) == digest]
    return len(same) >= _SAME * len(sizes) and len(equal) >= _SAME * len(digests)


def has_same_names(splits: Splits, dataset: Dataset) -> bool:
    """Whether a data set has at least 90 % of the images that a run recorded, by name or by a hash of their pixels.

    True where the record, or the data set, names no images.
    """
    record = split_record(dataset, dataset.validation)
    before, now = (frozenset().union(*(_names(names, part) for part in _PARTS)) for names in (splits, record))
    return not before or not now or len(before & now) >= _SAME * len(before)


def names_elsewhere(splits: Splits, split: str) -> frozenset[str]:
    """Names of the images in the record's other splits."""
    return frozenset().union(*(_names(splits, other) for other in _PARTS if other != split))


def _names(splits: Splits, part: str) -> frozenset[str]:
    names = splits.get(part)
    return frozenset(map(str, names)) if isinstance(names, list) else frozenset()


def _digest(path: Path) -> str:
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1

"""Which tar archives belong to a data set, and which of its splits each one is."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from capsnet.data.formats import printable_name
from capsnet.data.labels import Label, index_labels, read_class_list
from capsnet.data.layout import SPLIT_NAMES, ClassFile, Layout, Split, is_visible
from capsnet.data.tars import Member, TarFiles, read_tar
from capsnet.errors import UserError

_CLASSES = "classes.txt"
_MOST_ARCHIVES = 100_000
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")


def holds_tars(path: Path) -> bool:
    """Whether a name stands for tar archives: a `.tar` file, a pattern of them, or a folder of them."""
    if path.suffix == ".tar":
        return not path.is_dir()
    return path.is_dir() and bool(_archives_below(path))


def find_tars(path: Path, *, class_names: Sequence[str] | None = None) -> tuple[TarFiles, Layout]:
    """List the images of archives, their labels and their splits.

    A word in an archive's name (`train-000.tar`, `imagenet-val-3.tar`), or the folder that it lies in, is its split;
    where there is no test split, the validation split is the test split. Class names are read from `classes.txt` beside
    the archives, one a line; without it, numbers and names are taken from the labels.

    Args:
        path: an archive, a pattern such as `shard-{000..009}.tar`, or a folder of archives.
        class_names: the classes of a trained model; None: those of the data set.

    Raises:
        UserError: an archive that is missing or that `read_tar` refuses, archives of which only some name a split, or
            labels that do not fit.
    """
    pattern = path.suffix == ".tar"
    archives = expand(path) if pattern else _archives_below(path)
    folder = path.parent if pattern else path
    if "{" in str(folder) and not folder.is_dir():
        raise UserError(f"{printable_name(path)}: braces may only be in the name of the archive, not of its folder")
    parts = _split(archives, folder, printable_name(path), may_lack_training=class_names is not None)
    members: dict[str, Member] = {}
    names: dict[Split, list[str]] = {}
    labels: dict[str, list[Label]] = {}
    others: set[str] = set()
    for split, part in parts.items():
        names[split], labels[split] = [], []
        for archive in part:
            images = read_tar(archive)
            prefix = archive.relative_to(folder).as_posix()
            for name, member in sorted(images.members.items()):
                full_name = f"{prefix}/{name}"
                members[full_name] = member
                names[split].append(full_name)
                labels[split].append(images.labels[name])
            others |= images.others.keys()
    listed = read_class_list(folder / _CLASSES)
    classes, indices = index_labels(labels, printable_name(path), listed, class_names)
    splits = {
        split: tuple(ClassFile(*pair) for pair in zip(part, indices[split], strict=True))
        for split, part in names.items()
    }
    count = len(archives)
    notes = [f"Images are read from {count:,} tar archive{'s' if count > 1 else ''} in {folder}."]
    if others:
        endings = ", ".join(sorted(f".{ending}" for ending in others)[:5])
        notes.append(f"Not read, neither images nor labels: members that end in {endings}.")
    roots = dict.fromkeys(splits, folder)
    return TarFiles(folder, members), Layout(folder, classes, splits, roots, len(splits) > 1, tuple(notes), True)


def expand(path: Path) -> list[Path]:
    """The archives of a pattern: `{000..009}` counts, `{a,b}` lists.

    Raises:
        UserError: braces that do neither, too many archives, or one that is missing.
    """
    # a name that is there, braces included, is no pattern
    names = [path.name] if path.exists() else dict.fromkeys(_expand(path.name))
    paths = [path.with_name(name) for name in names]
    missing = [name for name in paths if not name.exists()]
    if missing:
        of = f" (and {len(missing) - 1:,} more of {len(paths):,})" if len(missing) > 1 else ""
        raise UserError(f"{printable_name(missing[0])}: no such file{of}")
    return paths


def _expand(name: str) -> list[str]:
    head, opened, rest = name.partition("{")
    if not opened:
        return [name]
    inside, closed, tail = rest.partition("}")
    counted = _RANGE.fullmatch(inside)
    if not closed or not (counted or "," in inside) or "{" in inside:
        raise UserError(f"{printable_name(name)}: braces hold a range ({{000..009}}) or a list ({{a,b}})")
    if counted:
        first, last = map(int, counted.groups())
        width = len(counted[1])
        if not 0 <= last - first < _MOST_ARCHIVES:
            raise UserError(f"{printable_name(name)}: a range ascends, to at most {_MOST_ARCHIVES:,} archives")
        words = [f"{number:0{width}}" for number in range(first, last + 1)]
    else:
        words = inside.split(",")
    tails = _expand(tail)
    if len(words) * len(tails) > _MOST_ARCHIVES:
        raise UserError(f"{printable_name(name)} stands for more than {_MOST_ARCHIVES:,} archives")
    return [head + word + end for word in words for end in tails]


def _archives_below(folder: Path) -> list[Path]:
    """The archives in a folder without other folders, or in one whose folders are splits; none in others."""
    try:
        entries = sorted(path for path in folder.iterdir() if is_visible(path.name))
        folders = [path for path in entries if path.is_dir()]
        if not folders:
            return [path for path in entries if path.suffix == ".tar"]
        if not all(path.name.lower() in SPLIT_NAMES for path in folders):
            return []
        below = [_archives_below(path) for path in folders]
    except OSError:
        return []
    return [path for part in below for path in part] if all(below) else []


def _split(archives: Sequence[Path], folder: Path, shown: str, *, may_lack_training: bool) -> dict[Split, list[Path]]:
    """The archives of each split, training first."""
    parts: dict[Split, list[Path]] = {}
    unnamed = []
    for archive in archives:
        own = re.split(r"[^a-z]+", archive.stem.lower())
        words = own if SPLIT_NAMES.keys() & own or archive.parent == folder else [archive.parent.name.lower()]
        splits = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
        if len(splits) == 1:
            parts.setdefault(splits.pop(), []).append(archive)
        else:
            unnamed.append(archive)
    if not parts or len(archives) == 1:
        return {"train": list(archives)}
    if unnamed:
        raise UserError(
            f"{shown}: {printable_name(unnamed[0].name)} names no split (train, validation or test), but others do; "
            "rename it, or put it elsewhere"
        )
    if len(parts) == 1:
        return {"train": list(archives)}
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    if "train" not in parts and not may_lack_training:
        raise UserError(f"{shown} holds archives of {' and '.join(parts)} but none of train")
    return {split: parts[split] for split in get_args(Split) if split in parts}

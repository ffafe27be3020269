"""The layout of a folder of images: class folders, or class folders in a folder for each split."""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args

from capsnet.errors import UserError

Split = Literal["train", "validation", "test"]

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_SYSTEM_NAMES = frozenset(("__macosx", "thumbs.db", "desktop.ini"))


@dataclass(frozen=True)
class ClassFile:
    """A file in a class folder.

    Args:
        name: relative to the data set's folder, with `/`.
        label: index of its class.
    """

    name: str
    label: int


@dataclass(frozen=True)
class Layout:
    """Which files of a folder belong to which split and class.

    Args:
        folder: the data set's folder.
        class_names: class names in the order of their labels.
        splits: files of each split; without split folders all files are in `train`.
        roots: the folder that holds the class folders of each split.
        has_splits: whether the folder holds split folders.
        notes: sentences for the user: which folder is which split, and what was not read.
        classes_are_listed: the class names come from a list, so that some may have no images here.
    """

    folder: Path
    class_names: tuple[str, ...]
    splits: dict[Split, tuple[ClassFile, ...]]
    roots: dict[Split, Path]
    has_splits: bool
    notes: tuple[str, ...]
    classes_are_listed: bool = False


def find_layout(folder: Path, *, class_names: Sequence[str] | None = None) -> Layout:
    """Find class folders, or train, validation and test folders of them, without opening a file.

    Split folders are `train` or `training`, `val`, `valid` or `validation`, and `test` or `testing`, in any case.
    Without a test folder, the validation folder is the test split. Hidden files and system files (`__MACOSX`,
    `Thumbs.db`) are ignored.

    Args:
        folder: the data set's folder.
        class_names: the classes of a trained model, some of which the folder may lack; None: the class folders of the
            training images.

    Raises:
        UserError: no folder, no class folders, a folder that may be a split or a class, or an unknown class.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    roots = _split_roots(folder, class_names)
    notes = [_name_splits(roots)] if roots else []
    if not roots:
        names = _class_folders(folder, class_names)
        files, loose = _class_files(folder, folder, names)
        return Layout(folder, names, {"train": files}, {"train": folder}, False, tuple(loose))
    beside = [path.name for path in _visible_folders(folder) if path not in roots.values()]
    if beside:
        notes.append(f"{folder}: {_listed(beside)} beside the split folders is not read.")
    first = roots.get("train") or next(iter(roots.values()))
    names = _class_folders(first, class_names)
    splits: dict[Split, tuple[ClassFile, ...]] = {}
    for split, root in roots.items():
        splits[split], loose = _class_files(folder, root, names)
        notes += loose
    if "validation" in splits and "test" not in splits:
        splits["test"], roots["test"] = splits.pop("validation"), roots.pop("validation")
    return Layout(folder, names, splits, roots, True, tuple(notes))


def is_visible(name: str) -> bool:
    """Whether the name is neither that of a hidden file or folder nor that of a system file."""
    return not name.startswith(".") and name.lower() not in _SYSTEM_NAMES


def _visible_folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if is_visible(path.name) and path.is_dir())
    except OSError as fault:
        raise UserError(f"{root} cannot be read ({fault.strerror})") from None


def _loose_files(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if is_visible(path.name) and not path.is_dir())


def _split_of(path: Path) -> Split | None:
    return SPLIT_NAMES.get(path.name.lower())


def _split_roots(folder: Path, class_names: Sequence[str] | None) -> dict[Split, Path]:
    """The split folders; empty if the folder holds class folders."""
    roots: dict[Split, Path] = {}
    folders = _visible_folders(folder)
    named = [path for path in folders if _split_of(path) and path.name not in (class_names or ())]
    for path in named:
        split = _split_of(path)
        assert split is not None
        if split in roots:
            raise UserError(f"{folder}: {roots[split].name!r} and {path.name!r} are both the {split} split; keep one")
        roots[split] = path
    if not roots:
        return {}
    others = [path.name for path in folders if path not in named]
    if others and (len(roots) == 1 or not all(map(_visible_folders, roots.values()))):
        raise UserError(
            f"{folder}: {named[0].name!r} looks like a split but lies beside {_listed(others)}; rename it if it is a "
            f"class ('{named[0].name}-class'), else put the class folders into {folder / 'train'}"
        )
    roots = {split: roots[split] for split in get_args(Split) if split in roots}
    for split, root in roots.items():
        _check_root(root, split, roots.get("train"))
    if "train" not in roots and class_names is None:
        raise UserError(f"{folder} holds {_listed([path.name for path in named])} but no folder 'train' to learn from")
    return roots


def _check_root(root: Path, split: Split, train: Path | None) -> None:
    """Refuse a split folder without class folders."""
    if _visible_folders(root):
        return
    count = len(_loose_files(root))
    if count == 0:
        raise UserError(f"{root}: the {split} folder is empty; put a folder of images for each class into it")
    remedy = f"sort them into {root / 'CLASS'}"
    if split != "train" and train is not None:
        remedy += f", or give {train} as the data (training then holds out a fifth of it as the test split)"
    raise UserError(f"{root} holds {count} files but no class folders, so its images have no labels; {remedy}")


def _name_splits(roots: dict[Split, Path]) -> str:
    parts = [("training", roots.get("train")), ("validation", roots.get("validation")), ("test", roots.get("test"))]
    if "test" not in roots and "validation" in roots:
        parts[1:] = [("test", roots["validation"])]
    named = [f"{split} images are from {path.name}/" for split, path in parts if path is not None]
    text = ", ".join(named)
    return text[0].upper() + text[1:] + "."


def _class_folders(root: Path, known: Sequence[str] | None) -> tuple[str, ...]:
    names = [path.name for path in _visible_folders(root)]
    if not names:
        count = len(_loose_files(root))
        held = f", only {count} files" if count else ""
        raise UserError(f"{root} holds no class folders{held}; put the images of each class into a folder of its name")
    odd = [name for name in names if not name.isprintable()]
    if odd:
        raise UserError(f"{root}: the folder name {odd[0]!r} cannot be printed; rename it")
    stored: dict[str, str] = {}
    for name in names:
        if stored.setdefault(_normal(name), name) != name:
            raise UserError(
                f"{root}: two class folders are named {_normal(name)!r}, their accents stored in two ways; put the "
                "images of both into one"
            )
    if known is not None:
        return tuple(known)
    if len(names) == 1:
        inner = root / names[0]
        below = len(_visible_folders(inner))
        remedy = f"did you mean {inner}, which holds {below} folders?" if below > 1 else "at least two are needed"
        raise UserError(f"{root} holds one class folder, {names[0]!r}; {remedy}")
    if {"images", "masks"} <= {name.lower() for name in names}:
        raise UserError(
            f"{root} holds images/ and masks/, a data set for segmentation, not a folder for each class; train "
            f"on it with model='segcaps-small', or read it with capsnet.data.mask_folder.read_mask_folder"
        )
    splits = [name for name in names if name.lower() in SPLIT_NAMES]
    if splits:
        raise UserError(
            f"{root}: the class {splits[0]!r} looks like a split; rename it if it is a class ('{splits[0]}-class'), "
            "else give the folder that holds the split folders as the data"
        )
    return tuple(names)


def _class_files(folder: Path, root: Path, class_names: Sequence[str]) -> tuple[tuple[ClassFile, ...], list[str]]:
    """The files of the class folders in `root`, and a note on files beside them."""
    present = [path.name for path in _visible_folders(root)]
    labels = {_normal(name): label for label, name in enumerate(class_names)}
    for name in present:
        if _normal(name) not in labels:
            near = get_close_matches(name, class_names, 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"{root}: unknown class {name!r}{meant}; the known classes are {_listed(class_names)}")
    files = tuple(
        ClassFile(path.relative_to(folder).as_posix(), labels[_normal(name)])
        for name in sorted(present, key=lambda name: labels[_normal(name)])
        for path in walk_files(root / name)
    )
    loose = _loose_files(root)
    return files, [f"{root}: not read, in no class folder: {_listed(loose)}."] if loose else []


def walk_files(root: Path) -> Iterator[Path]:
    """All visible files below a folder; links to folders are followed once."""
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(filter(is_visible, subfolders))
        yield from (Path(folder, name) for name in sorted(filter(is_visible, names)))


def _normal(name: str) -> str:
    # some systems store é as one character, others as two
    return unicodedata.normalize("NFC", name)


def _listed(names: Sequence[str], most: int = 5) -> str:
    text = ", ".join(map(repr, names[:most]))
    return text + (f" and {len(names) - most} more" if len(names) > most else "")

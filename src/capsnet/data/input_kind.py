"""What a person's own data are: images in class folders, images with masks, recordings, or time series."""

from pathlib import Path
from typing import Literal

from capsnet.data.layout import SPLIT_NAMES, is_visible, walk_files
from capsnet.errors import UserError

InputKind = Literal["images", "masks", "recordings", "series"]
"""`masks`: a folder of images/ and masks/; `recordings`: WAV files in class folders; `series`: a .ts file."""


def find_input_kind(name: str | Path) -> InputKind:
    """The kind of a person's own data, by the names of folders and files; anything unknown counts as images.

    Args:
        name: of a data set, a folder or a file.

    Raises:
        UserError: as `mask_roots`.
    """
    path = Path(name)
    try:
        if path.suffix.lower() == ".ts" and not path.is_dir():
            return "series"
        if not path.is_dir():
            return "images"
    # a name that no file can have, such as one that is too long
    except (OSError, ValueError):
        return "images"
    if mask_roots(path):
        return "masks"
    if find_series(path):
        return "series"
    return "recordings" if _holds_recordings(path) else "images"


def mask_roots(folder: Path) -> dict[str, Path]:
    """The folders that hold images/ and masks/: the folder itself, as `train`, or its split folders.

    Raises:
        UserError: two folders of one split, or split folders beside images/ and masks/.
    """
    splits = [path for path in _folders(folder) if path.name.lower() in SPLIT_NAMES and _has_masks(path)]
    if _has_masks(folder):
        if splits:
            raise UserError(
                f"{folder} holds images/ and masks/ beside {splits[0].name!r}, a split of its own; move images/ and "
                "masks/ into train/"
            )
        return {"train": folder}
    roots: dict[str, Path] = {}
    for path in splits:
        split = SPLIT_NAMES[path.name.lower()]
        if split in roots:
            raise UserError(f"{folder}: {roots[split].name!r} and {path.name!r} are both the {split} split; keep one")
        roots[split] = path
    return roots


def find_series(folder: Path) -> list[Path]:
    """The NAME_TRAIN.ts files of a folder, as the UCR and UEA archives name them."""
    return sorted(path for path in folder.glob("*_TRAIN.ts") if is_visible(path.name))


def _has_masks(folder: Path) -> bool:
    return {"images", "masks"} <= {path.name.lower() for path in _folders(folder)}


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if is_visible(path.name) and path.is_dir())
    # reading the data set raises this error again
    except OSError:
        return []


def _holds_recordings(folder: Path) -> bool:
    """Whether there is a WAV file and no image in the folders of a folder."""
    # imported late: it needs Pillow
    from capsnet.data.formats import SUFFIXES

    # files beside the class folders have no class
    has_wav = False
    for suffix in (path.suffix.lower() for path in walk_files(folder) if path.parent != folder):
        if suffix in SUFFIXES:
            return False
        has_wav = has_wav or suffix == ".wav"
    return has_wav

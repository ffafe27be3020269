"""One's own images: a folder for each class, `class/image.png`, of any size, grey or colour."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from capsnet.data.dataset import Dataset, ImageData, split_by_class
from capsnet.data.images import open_image, prepare_image
from capsnet.errors import UserError

_TEST_SHARE = 0.2
_SPLIT_SEED = 0
_SPLITS = ("train", "test")
_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"))


def load_folder(folder: Path, *, image_size: int = 32, skip_unreadable: bool = False) -> Dataset:
    """Load images from class folders, each scaled into a square with its aspect kept.

    `folder/train/class/image.png` and `folder/test/class/image.png` keep their split; of a folder without them, a
    fifth of each class is the test split, always the same images. All images are grey, or all are read as colour.

    Args:
        folder: holds a folder for each class; files beside them and hidden ones are ignored.
        image_size: side of the square in pixels.
        skip_unreadable: leave out files that are no images, in place of an error.

    Raises:
        UserError: no folder, fewer than two classes, a class without enough images, or an unreadable file.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    if image_size < 1:
        raise UserError(f"--image-size must be at least 1, got {image_size}")
    has_splits = all((folder / split).is_dir() for split in _SPLITS)
    class_names = _class_names(folder / "train" if has_splits else folder)
    roots = [folder / split for split in _SPLITS] if has_splits else [folder]
    files = [_image_files(root, class_names) for root in roots]
    files = [_readable(part, skip_unreadable) for part in files]
    color = any(_is_color(path) for part in files for path, _ in part)
    parts = [_read(part, class_names, image_size, color) for part, root in zip(files, roots, strict=True)]
    for part, root in zip(parts, roots, strict=True):
        _check_counts(part, root, 1 if has_splits else 2)
    if has_splits:
        return Dataset(str(folder), parts[0], parts[1])
    train, test = split_by_class(parts[0].labels, _TEST_SHARE, seed=_SPLIT_SEED)
    return Dataset(str(folder), parts[0].select(train), parts[0].select(test))


def _class_names(root: Path) -> tuple[str, ...]:
    names = tuple(sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")))
    if not names:
        raise UserError(f"{root}: holds no class folders; put the images of each class into a folder of its name")
    if len(names) == 1:
        raise UserError(f"{root}: holds one class folder, {names[0]!r}; at least two classes are needed")
    return names


def _image_files(root: Path, class_names: Sequence[str]) -> list[tuple[Path, int]]:
    unknown = sorted({path.name for path in root.iterdir() if path.is_dir()} - set(class_names))
    unknown = [name for name in unknown if not name.startswith(".")]
    if unknown:
        raise UserError(f"{root}: class {unknown[0]!r} has no training images")
    return [
        (path, label)
        for label, name in enumerate(class_names)
        for path in sorted((root / name).rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.name != "Thumbs.db"
    ]


def _readable(files: Sequence[tuple[Path, int]], skip: bool) -> list[tuple[Path, int]]:
    """Check every file before any work is done; without `skip`, the first unreadable ones are named."""
    good, bad = [], []
    for path, label in files:
        try:
            if path.suffix.lower() not in _SUFFIXES:
                raise UserError(f"{path}: is not an image file")
            open_image(path, color=False)
            good.append((path, label))
        except UserError as fault:
            bad.append(str(fault))
    if bad and not skip:
        more = f" (and {len(bad) - 1} more files)" if len(bad) > 1 else ""
        raise UserError(f"{bad[0]}{more}; remove it, or leave out such files with --skip-unreadable")
    return good


def _is_color(path: Path) -> bool:
    with Image.open(path) as image:
        return image.mode not in ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")


def _read(files: Sequence[tuple[Path, int]], class_names: tuple[str, ...], image_size: int, color: bool) -> ImageData:
    shape = (3 if color else 1, image_size, image_size)
    images = [prepare_image(path, shape, "fit") for path, _ in files]
    labels = torch.tensor([label for _, label in files], dtype=torch.long)
    return ImageData(torch.stack(images) if images else torch.empty(0, *shape, dtype=torch.uint8), labels, class_names)


def _check_counts(part: ImageData, root: Path, least: int) -> None:
    for name, count in zip(part.class_names, part.counts(), strict=True):
        if count < least:
            raise UserError(f"{root / name}: holds {count} images, at least {least} are needed")

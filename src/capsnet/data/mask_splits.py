"""A folder of images/ and masks/ for training: its splits, and a survey of its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from capsnet.data.formats import printable_name
from capsnet.data.holdout import hash_images, hash_names, hold_out_by_hash
from capsnet.data.images import collect_notes, probe_image
from capsnet.data.input_kind import mask_roots
from capsnet.data.labels import read_class_list
from capsnet.data.mask_folder import (
    NAMES_FILE,
    MaskFolder,
    check_size,
    count_values,
    find_classes,
    match_files,
    open_mask,
    read_mask_folder,
)
from capsnet.data.pixels import PixelRange, decide_range
from capsnet.data.survey import Spread, listed, make_spread
from capsnet.errors import UserError

TEST_SHARE = 0.2
"""Share of the images or sequences that are the test split, if the data have none."""


@dataclass(frozen=True)
class MaskSplits:
    """Images with masks for training, validation and testing.

    Args:
        name: the folder.
        train: for training.
        test: for the test.
        validation: the folder's own validation images, or None.
        notes: sentences for the user.
    """

    name: str
    train: MaskFolder
    test: MaskFolder
    validation: MaskFolder | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class MaskSurvey:
    """Numbers of a folder of images and masks, at the sizes of the files.

    Args:
        splits: number of images of each split.
        class_names: a name for each class.
        images: number of images that hold each class.
        shares: share of all pixels of each class; the rest is background.
        unmarked: number of images of background only.
        width: of the images in pixels.
        height: of the images in pixels.
        color: whether any image has colours.
        pairs: each image and its mask.
        present: the class numbers in each mask, from 1.
        is_white: whether the value of the one class is 255.
        notes: sentences for the user.
    """

    splits: Mapping[str, int]
    class_names: tuple[str, ...]
    images: tuple[int, ...]
    shares: tuple[float, ...]
    unmarked: int
    width: Spread
    height: Spread
    color: bool
    pairs: tuple[tuple[Path, Path], ...]
    present: tuple[tuple[int, ...], ...]
    is_white: bool
    notes: tuple[str, ...]


def load_masks(folder: str | Path, size: tuple[int, int], *, color: bool | None = None) -> MaskSplits:
    """Read a folder of images/ and masks/, or one with these in its folders train, val and test.

    The file classes.txt may be beside images/ and masks/, or beside the split folders.

    Without a test split, about a fifth of the images are held out, by a hash of each file's name: adding a file moves
    no other one.

    Args:
        folder: see `read_mask_folder`.
        size: height and width to which all are scaled; the aspect ratio is not kept.
        color: three channels or one; None: three if any image has colours.

    Raises:
        UserError: as `read_mask_folder`, no folder `train`, or fewer than two images.
    """
    root = Path(folder)
    roots = _find_roots(root)
    infos = [probe_image(image) for path in roots.values() for image, _ in match_files(path)]
    color = any(info.color for info in infos) if color is None else color
    pixel_range = decide_range(infos)
    # the names of the folder itself are read with its masks
    names = None if roots["train"] == root else _split_names(root, roots)
    train = read_mask_folder(roots["train"], size=size, color=color, class_names=names, pixel_range=pixel_range)
    others = {
        split: read_mask_folder(path, size=size, color=color, class_names=train.class_names, pixel_range=pixel_range)
        for split, path in roots.items()
        if split != "train"
    }
    test, validation, notes = others.get("test"), others.get("validation"), []
    if test is None and validation is not None:
        test, validation = validation, None
    if test is None:
        kept, held = _hold_out_test(root, train.files)
        train, test = train.pick(kept), train.pick(held)
        notes = [_describe_test(len(held), len(kept) + len(held))]
    pages = (f"{note}." for note in collect_notes(infos))
    return MaskSplits(str(folder), train, test, validation, (*notes, *pages))


def read_masks_for(
    folder: str | Path,
    class_names: Sequence[str],
    size: tuple[int, int],
    *,
    color: bool,
    split: str | None = None,
    pixel_range: PixelRange | None = None,
) -> MaskFolder:
    """Read all images of a folder, or of one of its split folders, for a model that did not learn from them.

    Args:
        folder: see `load_masks`.
        class_names: of the model, which give the numbers in the result. A folder with a classes.txt numbers the classes
            as that file does, others as the model does.
        size: height and width to which all are scaled.
        color: three channels or one.
        split: None: all images.
        pixel_range: of the model; None: decided once for all files.

    Raises:
        UserError: as `read_mask_folder`, no such split folder, or a class that the model does not have.
    """
    root = Path(folder)
    roots = _find_splits(root)
    if split is not None and (split not in roots or _has_no_splits(root)):
        raise UserError(f"{printable_name(root)} has no split folder {split}; leave out `split` to test all its images")
    chosen = roots if split is None else {split: roots[split]}
    names = _split_names(root, roots)
    if pixel_range is None:
        pixel_range = decide_range([probe_image(image) for path in chosen.values() for image, _ in match_files(path)])
    parts = [_read_for(path, names, class_names, size, color, pixel_range) for path in chosen.values()]
    files = [
        str((path / file).relative_to(root))
        for path, part in zip(chosen.values(), parts, strict=True)
        for file in part.files
    ]
    return MaskFolder(
        torch.cat([part.images for part in parts]),
        torch.cat([part.masks for part in parts]),
        tuple(class_names),
        tuple(files),
        pixel_range,
    )


def read_masks_of_split(
    folder: str | Path,
    split: str,
    class_names: Sequence[str],
    size: tuple[int, int],
    *,
    color: bool,
    pixel_range: PixelRange | None = None,
) -> MaskFolder:
    """Read the folder that holds a split of `load_masks`, with the classes of a model that was trained on it.

    Args:
        folder: see `load_masks`.
        split: `"train"`, `"validation"` or `"test"`; if it was held out, the result holds all training images.
        class_names: as `read_masks_for`.
        size: height and width to which all are scaled.
        color: three channels or one.
        pixel_range: of the model; None: decided once for all files.

    Raises:
        UserError: as `read_masks_for`.
    """
    roots = _find_roots(Path(folder))
    places = dict(roots)
    if "test" not in places and "validation" in places:
        places["test"] = places.pop("validation")
    names = _split_names(Path(folder), roots)
    return _read_for(places.get(split, roots["train"]), names, class_names, size, color, pixel_range)


def _read_for(
    path: Path,
    names: Sequence[str] | None,
    class_names: Sequence[str],
    size: tuple[int, int],
    color: bool,
    pixel_range: PixelRange | None,
) -> MaskFolder:
    """Read images/ and masks/, whose classes have these names, and number the classes as a model does."""
    for name in names or ():
        if name not in class_names:
            classes = ", ".join(class_names)
            raise UserError(
                f"{printable_name(path / NAMES_FILE)}: the model has no class {name!r}; its classes: {classes}"
            )
    data = read_mask_folder(path, size=size, color=color, class_names=names or class_names, pixel_range=pixel_range)
    if names is None:
        return data
    numbers = torch.tensor([0, *(list(class_names).index(name) + 1 for name in names)], dtype=torch.uint8)
    return replace(data, masks=numbers[data.masks.long()], class_names=tuple(class_names))


def _split_names(root: Path, roots: Mapping[str, Path]) -> tuple[str, ...] | None:
    """The class names in classes.txt of a folder or of its split folders; None if there is none.

    Raises:
        UserError: files that differ.
    """
    files = [folder / NAMES_FILE for folder in dict.fromkeys([root, *roots.values()])]
    named = [(file, names) for file in files if (names := read_class_list(file)) is not None]
    for file, names in named[1:]:
        if names != named[0][1]:
            others = printable_name(named[0][0])
            raise UserError(f"{printable_name(file)} and {others} name different classes, or in another order")
    return named[0][1] if named else None


def hash_pixels(data: MaskFolder) -> list[str]:
    """A hash of each image's pixels."""
    return [str(key) for key in hash_images(data.images).tolist()]


def survey_masks(folder: str | Path) -> MaskSurvey:
    """Count images, classes and pixels, at the sizes of the files.

    Raises:
        UserError: as `load_masks`.
    """
    root = Path(folder)
    roots = _find_roots(root)
    split_pairs = {split: match_files(path) for split, path in roots.items()}
    pairs = [pair for part in split_pairs.values() for pair in part]
    counts, infos = [], []
    for image_file, mask_file in pairs:
        mask, info = open_mask(mask_file), probe_image(image_file)
        check_size(mask_file, mask.size, (info.width, info.height))
        counts.append(count_values(mask))
        infos.append(info)
    table = np.stack(counts)
    names = None if roots["train"] == root else _split_names(root, roots)
    classes = find_classes(roots["train"], table, [mask for _, mask in pairs], names)
    numbers = [255] if classes.is_white else list(range(1, len(classes.names) + 1))
    marked = table[:, numbers]
    images, pixels = (marked > 0).sum(axis=0), marked.sum(axis=0) / table.sum()
    splits, notes = {split: len(part) for split, part in split_pairs.items()}, []
    if "test" not in splits and "validation" in splits:
        splits["test"] = splits.pop("validation")
    if "test" not in splits:
        kept, held = _hold_out_test(root, [str(image.relative_to(root)) for image, _ in pairs])
        splits |= {"train": len(kept), "test": len(held)}
        notes.append(_describe_test(len(held), len(pairs)))
    absent = [name for name, count in zip(classes.names, images, strict=True) if count == 0]
    if absent:
        notes.append(f"Classes that no mask holds: {listed(absent)}.")
    notes += [f"{note}." for note in collect_notes(infos)]
    return MaskSurvey(
        splits,
        classes.names,
        tuple(images.tolist()),
        tuple(pixels.tolist()),
        int((marked.sum(axis=1) == 0).sum()),
        make_spread([info.width for info in infos]),
        make_spread([info.height for info in infos]),
        any(info.color for info in infos),
        tuple(pairs),
        tuple(tuple(int(k) + 1 for k in np.flatnonzero(row)) for row in marked),
        classes.is_white,
        tuple(notes),
    )


def hold_out_validation(data: MaskFolder, share: int | float, seed: int) -> tuple[MaskFolder, MaskFolder | None]:
    """Hold out images for validation by a hash of their names; the same seed gives the same images.

    Args:
        data: all training images.
        share: share of the images (below 1), or their number; 0: none.
        seed: of the split.

    Raises:
        UserError: a share that leaves nothing to train on.
    """
    labels = torch.zeros(len(data), dtype=torch.long)
    kept, held = hold_out_by_hash(hash_names(data.files), labels, share, salt=f"validation {seed}")
    return data.pick(kept), data.pick(held) if len(held) else None


def _find_roots(root: Path) -> dict[str, Path]:
    roots = _find_splits(root)
    if "train" not in roots:
        raise UserError(f"{printable_name(root)} has images/ and masks/ in {', '.join(roots)} but not in train/")
    return roots


def _has_no_splits(root: Path) -> bool:
    return mask_roots(root).get("train") == root


def _find_splits(root: Path) -> dict[str, Path]:
    """The folders of images/ and masks/ by split: at least one."""
    if not root.is_dir():
        raise UserError(f"{printable_name(root)}: no such folder")
    roots = mask_roots(root)
    if not roots:
        # its message names what is missing
        match_files(root)
    return roots


def _hold_out_test(root: Path, files: "tuple[str, ...] | list[str]") -> tuple[Int[Tensor, " _"], Int[Tensor, " _"]]:
    if len(files) < 2:
        raise UserError(f"{printable_name(root)} holds {len(files)} image with a mask; at least 2 are needed")
    # names relative to images/, so that all folders hold out the same images
    names = [Path(file).name for file in files]
    return hold_out_by_hash(hash_names(names), torch.zeros(len(names), dtype=torch.long), TEST_SHARE, salt="test")


def _describe_test(held: int, total: int) -> str:
    return f"There is no test split: {held} of {total} images form it, chosen by a hash of their names."

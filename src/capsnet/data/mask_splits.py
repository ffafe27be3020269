"""A folder of images/ and masks/ for training: its splits, and a survey of its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from capsnet.data.formats import printable_name
from capsnet.data.holdout import hash_names, hold_out_by_hash
from capsnet.data.images import probe_image
from capsnet.data.input_kind import mask_roots
from capsnet.data.mask_folder import (
    MaskFolder,
    check_size,
    count_values,
    find_classes,
    match_files,
    open_mask,
    read_mask_folder,
)
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


def load_masks(folder: str | Path, size: tuple[int, int]) -> MaskSplits:
    """Read a folder of images/ and masks/, or one with these in its folders train, val and test.

    Without a test split, about a fifth of the images are held out, by a hash of each file's name: adding a file moves
    no other one.

    Args:
        folder: see `read_mask_folder`.
        size: height and width to which all are scaled; the aspect ratio is not kept.

    Raises:
        UserError: as `read_mask_folder`, no folder `train`, or fewer than two images.
    """
    root = Path(folder)
    roots = _find_roots(root)
    color = any(probe_image(image).color for path in roots.values() for image, _ in match_files(path))
    train = read_mask_folder(roots["train"], size=size, color=color)
    others = {
        split: read_mask_folder(path, size=size, color=color, class_names=train.class_names)
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
    return MaskSplits(str(folder), train, test, validation, tuple(notes))


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
    classes = find_classes(roots["train"], table, [mask for _, mask in pairs], None)
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
    if not root.is_dir():
        raise UserError(f"{printable_name(root)}: no such folder")
    roots = mask_roots(root)
    if not roots:
        # its message names what is missing
        match_files(root)
    if "train" not in roots:
        raise UserError(f"{printable_name(root)} has images/ and masks/ in {', '.join(roots)} but not in train/")
    return roots


def _hold_out_test(root: Path, files: "tuple[str, ...] | list[str]") -> tuple[Int[Tensor, " _"], Int[Tensor, " _"]]:
    if len(files) < 2:
        raise UserError(f"{printable_name(root)} holds {len(files)} image with a mask; at least 2 are needed")
    # names relative to images/, so that all folders hold out the same images
    names = [Path(file).name for file in files]
    return hold_out_by_hash(hash_names(names), torch.zeros(len(names), dtype=torch.long), TEST_SHARE, salt="test")


def _describe_test(held: int, total: int) -> str:
    return f"There is no test split: {held} of {total} images form it, chosen by a hash of their names."

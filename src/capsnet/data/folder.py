"""A person's own image files, in class folders, tar archives or tables: read, split and described."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import torch
from jaxtyping import UInt8
from torch import Tensor

from capsnet.cache import cache_dir
from capsnet.data.dataset import Dataset, ImageData, Preparation
from capsnet.data.formats import printable_name
from capsnet.data.holdout import hash_names, hold_out_by_hash
from capsnet.data.images import ImageInfo, collect_notes
from capsnet.data.inputs import Inputs
from capsnet.data.labelled import LabelledFiles, find_labelled
from capsnet.data.layout import ClassFile, Layout, Split
from capsnet.data.pixels import PixelRange, check_range, decide_range
from capsnet.data.reading import probe_files, read_files, read_shards
from capsnet.data.shards import Shards, image_hashes, needs_shards
from capsnet.data.sources import ImageFiles
from capsnet.data.stored import select_images
from capsnet.data.survey import Survey, describe_classes, find_copies, listed, make_survey
from capsnet.errors import UserError

_TEST_SHARE = 0.2


def load_folder(
    folder: Path | str,
    *,
    image_size: int = 32,
    skip_unreadable: bool = False,
    pixel_range: tuple[float, float] | None = None,
    shards: Shards | None = None,
) -> Dataset:
    """Load images from class folders, tar archives or a table, each scaled into a square with its aspect ratio kept.

    Folders `train`, `val` and `test` (or their longer names, in upper or lower case) above the class folders are the
    splits. Without a test split, about a fifth of each class is held out, by a hash of each file's name: adding a file
    moves no other one. If one image has colours, all are read as colour images.

    Args:
        folder: holds a folder for each class, or one for each split; or what `find_labelled` takes.
        image_size: side of the square in pixels.
        skip_unreadable: leave out files that cannot be read instead of raising an error; `notes` names them.
        pixel_range: values that become 0 and 255, for files of more than 8 bits; None: decided once for all files.
        shards: keep images in memory-mapped files: `"always"` or `"never"`; None: if they exceed a quarter of the free
            memory.

    Raises:
        UserError: no folder, fewer than two classes, a folder that may be a split or a class, a class with too few
            images, or an unreadable file.
    """
    if image_size < 1:
        raise UserError(f"image_size must be at least 1, got {image_size}")
    if pixel_range is not None:
        check_range(pixel_range)
    labelled = find_labelled(folder)
    source, layout = labelled.files, labelled.layout
    files = [file for part in layout.splits.values() for file in part]
    probed = _probe(source, files)
    given, is_deep = pixel_range, any(info.deep for info in probed.infos)
    pixel_range = given or decide_range(probed.infos) if is_deep else None
    shape = (3 if any(info.color for info in probed.infos) else 1, image_size, image_size)
    read = _read(source, probed, shape, "fit", pixel_range, shards)
    read.check(skip_unreadable)
    parts = _split(layout, read)
    survey = _survey(source, read, parts)
    notes = [
        *layout.notes,
        *read.notes(),
        *_describe_range(pixel_range, given),
        *_describe_test(layout, parts),
        *describe_classes(layout.class_names, parts["train"].counts()),
        *_describe_copies(survey),
    ]
    return Dataset(
        labelled.name,
        parts["train"],
        parts["test"],
        validation=parts.get("validation"),
        notes=tuple(map(printable_name, notes)),
        pixel_range=pixel_range,
        survey=survey,
    )


def read_for_model(
    folder: Path | LabelledFiles,
    inputs: Inputs,
    class_names: Sequence[str],
    *,
    preparation: Preparation = "fit",
    skip_unreadable: bool = False,
    split: Split | None = None,
    shards: Shards | None = None,
) -> ImageData:
    """Read all labelled images of a folder as inputs of a trained model, to evaluate it.

    Args:
        folder: holds a folder for each class, or one for each split; or what `find_labelled` gives for the model's
            classes. Any of the model's classes may be there.
        inputs: the model's inputs: their size, channels and pixel range.
        class_names: the model's class names, in the order of its labels.
        preparation: the model's preparation.
        skip_unreadable: leave out files that cannot be read instead of raising an error; `notes` names them.
        split: read this split only, if the folder has splits; None: all images.
        shards: as of `load_folder`.

    Returns:
        Images with the model's class names and labels, and their files.

    Raises:
        UserError: a folder without class folders or without this split, a class that the model lacks, or an unreadable
            file.
    """
    if split is not None and split not in get_args(Split):
        raise UserError(f"split must be one of {', '.join(get_args(Split))}, got {split!r}")
    labelled = folder if isinstance(folder, LabelledFiles) else find_labelled(folder, class_names=class_names)
    source, layout = labelled.files, labelled.layout
    if split is not None and layout.has_splits:
        if split not in layout.splits:
            raise UserError(f"{labelled.name} has no {split} split; it has {', '.join(layout.splits)}")
        layout = replace(layout, splits={split: layout.splits[split]})
    files = [file for part in layout.splits.values() for file in part]
    probed = _probe(source, files)
    # one range for all files, as in training and prediction
    pixel_range = inputs.pixel_range or decide_range(probed.infos)
    read = _read(source, probed, inputs.image_shape, preparation, pixel_range, shards)
    read.check(skip_unreadable)
    if not read.files:
        raise UserError(f"{labelled.name} holds no images in its class folders")
    data = _image_data(read, range(len(read.files)), layout.class_names)
    return replace(data, notes=tuple(map(printable_name, (*layout.notes, *read.notes()))))


@dataclass(frozen=True)
class _Read:
    """Readable files, and the error messages of the others by name.

    Args:
        files: the readable files.
        infos: header information of each readable file.
        images: the decoded image of each readable file; None before decoding.
        faults: error messages of all other files, by name.
        storage_note: a sentence for the user about where the images are stored.
    """

    files: list[ClassFile]
    infos: list[ImageInfo]
    images: UInt8[Tensor, "m c h w"] | None
    faults: dict[str, str]
    storage_note: str = ""

    def check(self, skip_unreadable: bool) -> None:
        """Raise an error for unreadable files, unless they are left out."""
        if self.faults and not skip_unreadable:
            more = f" (and {len(self.faults) - 1} more files)" if len(self.faults) > 1 else ""
            first = next(iter(self.faults.values()))
            raise UserError(f"{first}{more}; remove it, or leave out such files with skip_unreadable=True")

    def notes(self) -> list[str]:
        """Sentences about files that were left out, and about files that were read in part."""
        notes = [self.storage_note] if self.storage_note else []
        if self.faults:
            count = len(self.faults)
            files = "1 file that cannot be read was" if count == 1 else f"{count} files that cannot be read were"
            notes.append(f"{files} left out: {listed(list(self.faults))}.")
        return notes + [f"{note}." for note in collect_notes(self.infos)]


def _probe(source: ImageFiles, files: Sequence[ClassFile]) -> _Read:
    results = probe_files(source, [file.name for file in files])
    good = [(file, info) for file, info in zip(files, results, strict=True) if isinstance(info, ImageInfo)]
    return _Read([file for file, _ in good], [info for _, info in good], None, _faults(files, results))


def _read(
    source: ImageFiles,
    probed: _Read,
    image_shape: tuple[int, int, int],
    preparation: Preparation,
    pixel_range: tuple[float, float] | None,
    shards: Shards | None = None,
) -> _Read:
    names = [file.name for file in probed.files]
    if needs_shards(len(names), image_shape, shards):
        stored = read_shards(source, names, image_shape, preparation, pixel_range=pixel_range)
        return _Read(
            [probed.files[k] for k in stored.positions],
            [probed.infos[k] for k in stored.positions],
            stored.images,
            probed.faults | {names[k]: str(fault) for k, fault in stored.errors.items()},
            f"Images are read from shards in {cache_dir() / 'shards'}, not kept in memory.",
        )
    results = read_files(source, names, image_shape, preparation, pixel_range=pixel_range)
    good = [k for k, result in enumerate(results) if isinstance(result, Tensor)]
    return _Read(
        [probed.files[k] for k in good],
        [probed.infos[k] for k in good],
        torch.stack([result for result in results if isinstance(result, Tensor)]) if good else None,
        probed.faults | _faults(probed.files, results),
    )


def _faults(files: Sequence[ClassFile], results: Sequence[object]) -> dict[str, str]:
    pairs = zip(files, results, strict=True)
    return {file.name: str(result) for file, result in pairs if isinstance(result, UserError)}


def _image_data(read: _Read, indices: Sequence[int], class_names: tuple[str, ...]) -> ImageData:
    assert read.images is not None
    return ImageData(
        select_images(read.images, torch.tensor(indices, dtype=torch.long)),
        torch.tensor([read.files[k].label for k in indices], dtype=torch.long),
        class_names,
        files=tuple(read.files[k].name for k in indices),
    )


def _split(layout: Layout, read: _Read) -> dict[Split, ImageData]:
    """The images of each split; without a test folder, the test split is taken from the training images."""
    positions = {file.name: k for k, file in enumerate(read.files)}
    members: dict[Split, list[int]] = {
        split: [positions[file.name] for file in files if file.name in positions]
        for split, files in layout.splits.items()
    }
    least = 1 if "test" in members else 2
    labels = torch.tensor([read.files[k].label for k in members["train"]], dtype=torch.long)
    counts = torch.bincount(labels, minlength=len(layout.class_names)).tolist()
    for name, count in zip(layout.class_names, counts, strict=True):
        if count < least and not layout.classes_are_listed:
            raise UserError(f"{layout.roots['train'] / name} holds {count} images, at least {least} are needed")
    for split, part in members.items():
        if not part:
            raise UserError(f"{layout.roots[split]} holds no images in its class folders")
    parts = {split: _image_data(read, part, layout.class_names) for split, part in members.items()}
    if "test" not in parts:
        # names relative to the split's folder: photos/train and photos hold out the same images
        names = [str((layout.folder / read.files[k].name).relative_to(layout.roots["train"])) for k in members["train"]]
        kept, held = hold_out_by_hash(hash_names(names), labels, _TEST_SHARE, salt="test")
        if not len(held):
            raise UserError(f"{layout.roots['train']}: no class holds 2 images, so none can be held out for the test")
        parts["train"], parts["test"] = parts["train"].select(kept), parts["train"].select(held)
    return parts


def _survey(source: ImageFiles, read: _Read, parts: dict[Split, ImageData]) -> Survey:
    assert read.images is not None
    names = [file.name for file in read.files]
    return make_survey(
        [(info.width, info.height) for info in read.infos],
        [info.mode for info in read.infos],
        list(read.faults.values()),
        find_copies(source, names, image_hashes(read.images)),
        {name: split for split, part in parts.items() for name in part.files or ()},
        {file.name: file.label for file in read.files},
    )


def _describe_range(pixel_range: PixelRange | None, given: PixelRange | None) -> list[str]:
    if pixel_range is None:
        return ["pixel_range has no effect: all files have 8 bits, 0 is black and 255 is white."] if given else []
    return [f"Pixel values of {pixel_range[0]:g} are read as black, of {pixel_range[1]:g} as white."]


def _describe_test(layout: Layout, parts: dict[Split, ImageData]) -> list[str]:
    notes = []
    total = len(parts["train"]) + len(parts["test"])
    if "test" not in layout.splits:
        notes.append(
            f"There is no test split: {len(parts['test'])} of {total} images form it, chosen by a hash of their names."
        )
    for split in ("validation", "test"):
        if split in parts:
            counts = zip(layout.class_names, parts[split].counts(), strict=True)
            empty = [name for name, count in counts if count == 0]
            if empty:
                notes.append(f"The {split} split holds no images of {listed(empty)}.")
    return notes


def _describe_copies(survey: Survey) -> list[str]:
    notes = []
    across, unclear = survey.copies_across, survey.copies_of_classes
    if across:
        example = " = ".join(across[0][:3])
        notes.append(
            f"Images with copies in more than one split: {len(across)}, such as {example}; the test result may be "
            "too good."
        )
    if unclear:
        example = " = ".join(unclear[0][:3])
        notes.append(f"Images with copies in more than one class: {len(unclear)}, such as {example}.")
    return notes

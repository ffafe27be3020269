"""Choose test images for a model: a split of its own data, a named data set, or all images of another folder."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch

from capsnet.data import DATASETS, Dataset, ImageData, load_data, locate_data
from capsnet.data.labelled import find_labelled, is_labelled
from capsnet.data.pairs import Pairing
from capsnet.data.shards import Shards
from capsnet.data.splits import learned_names, name_images
from capsnet.errors import UserError
from capsnet.models import CapsuleModel
from capsnet.runs.config import is_object
from capsnet.runs.data import load_dataset, split_training
from capsnet.runs.folder import Run
from capsnet.runs.splits import Splits, describe_changes, has_same_names, is_same_data, names_elsewhere, read_splits

_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class TestImages:
    """The images that a model is tested on.

    Args:
        name: of the data set.
        split: `"train"`, `"validation"` or `"test"`; `"all"` of a folder, or of a file of arrays without a
            test split, that the model was not trained on.
        data: images in the model's channels, labels in the order of its classes.
        pairing: makes pairs of them, or None.
        notes: for the user, one sentence each.
        cautions: reasons to doubt the result, one sentence each: images that the run learned from, say.
    """

    name: str
    split: str
    data: ImageData
    pairing: Pairing | None = None
    notes: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()


def find_images(
    model: CapsuleModel,
    data: str | Path | Dataset | None = None,
    split: str | None = None,
    *,
    run: Run | None = None,
    data_dir: Path | None = None,
    skip_unreadable: bool = False,
    shards: Shards | None = None,
) -> TestImages:
    """Find the images to test a model on.

    Args:
        model: with `input_shape` and `class_names`.
        data: a data set's name, a folder, or a data set; None: the model's training data.
        split: `"train"`, `"validation"` or `"test"`. None: all images of a folder, or of a file of arrays without a
            test split, that the model was not trained on, else the test split. The model's own folder is recognised
            even if it was moved.
        run: the model's run, which records the held-out images.
        data_dir: folder that holds the named data sets.
        skip_unreadable: skip files of a folder that are not images.
        shards: keep images that are files in memory-mapped files, always or never; None: as the run does, or where they
            exceed a quarter of the free memory.

    Raises:
        UserError: an unknown data set or split, or images or classes that do not fit the model.
    """
    if split not in (None, *_SPLITS):
        raise UserError(f"split must be one of {', '.join(_SPLITS)}, got {split!r}")
    if isinstance(data, Dataset):
        return _select(model, data, split or "test", data.validation)
    own = model.data if run is None else run.config.data.name
    name = own if data is None else str(data)
    if not name:
        raise UserError("the model does not record what it was trained on; give data")
    if is_object(name):
        raise UserError(f"the model was trained on data that no file holds ({name}); give data")
    if name not in DATASETS and is_labelled(name):
        if not _is_own(name, own, run):
            images = _foreign_images(model, name, split, skip_unreadable=skip_unreadable, shards=shards)
            return replace(images, cautions=_describe_learned(images.data, name, own, run))
        if run is not None:
            whole = data is not None
            return _own_images(model, run, name, split or "test", whole, skip_unreadable=skip_unreadable, shards=shards)
    is_given, split = split is not None, split or "test"
    if run is not None and locate_data(name) == locate_data(own):
        settings = run.config.data
        # a run may have been moved to a machine without its folder of data sets
        recorded = settings.data_dir if settings.data_dir and Path(settings.data_dir).is_dir() else None
        config = run.config.change(
            data_dir=str(data_dir) if data_dir else recorded,
            skip_unreadable=skip_unreadable or settings.skip_unreadable,
            pixel_range=model.inputs.pixel_range or settings.pixel_range,
            shards=shards or settings.shards,
            # named, it is the whole test split
            test_limit=settings.test_limit if data is None else None,
        )
        dataset, validation = load_dataset(config), None
        if split != "test":
            training, validation = split_training(config.change(validation_shift=0), dataset)
            dataset = replace(dataset, train=training)
        return _select(model, dataset, split, validation)
    if split == "validation":
        if run is not None:
            raise UserError(f"{run.folder} held no images of {name} out for validation; its own data is {own}")
        raise UserError("only a run folder records which images were held out for validation; give the run folder")
    dataset = load_data_for(model, name, data_dir=data_dir, skip_unreadable=skip_unreadable, shards=shards)
    if dataset.test_held_out and not is_given and not _is_own_arrays(name, own, run, dataset):
        joined = match_classes(_join(dataset.train, dataset.test), model, name)
        # those of the split and of its training images do not apply
        notes = [note for note in dataset.notes if "test split" not in note and not note.startswith("Classes ")]
        notes.insert(0, f"all {len(joined):,} images of {name} are tested")
        return TestImages(name, "all", joined, notes=tuple(notes), cautions=_describe_learned(joined, name, own, run))
    return _select(model, dataset, split, None)


def _is_own_arrays(name: str, own: str, run: Run | None, dataset: Dataset) -> bool:
    """Whether arrays in a file are those that the model was trained on; the file may have been moved."""
    if own and locate_data(name) == locate_data(own):
        return True
    record = None if run is None else read_splits(run.folder)
    return record is not None and bool(learned_names(record)) and has_same_names(record, dataset)


def _join(first: ImageData, second: ImageData) -> ImageData:
    """Two parts of the same arrays as one."""
    keys = None if first.keys is None or second.keys is None else torch.cat([first.keys, second.keys])
    images, labels = torch.cat([first.images, second.images]), torch.cat([first.labels, second.labels])
    return ImageData(images, labels, first.class_names, keys=keys)


def _is_own(name: str, own: str, run: Run | None) -> bool:
    """Whether a folder holds the model's training data; it may have been moved."""
    if not own:
        return False
    if locate_data(name) == locate_data(own) or Path(name).resolve() == Path(own).resolve():
        return True
    splits = None if run is None else read_splits(run.folder)
    return splits is not None and is_same_data(splits, Path(name))


def _foreign_images(
    model: CapsuleModel, name: str, split: str | None, *, skip_unreadable: bool, shards: Shards | None
) -> TestImages:
    """All images of a folder that the model was not trained on, or those of one of its split folders."""
    # only image files need Pillow
    from capsnet.data.folder import read_for_model
    from capsnet.data.layout import Split

    inputs, preparation = model.inputs, model.preparation
    names = model.class_names
    labelled = find_labelled(name, class_names=names)
    has_splits = labelled.layout.has_splits
    if split in ("train", "validation") and not has_splits:
        raise UserError(f"{name} is not what the model was trained on, and has no {split} folder; leave split out")
    chosen = cast(Split, split) if has_splits and split is not None else None
    data = read_for_model(
        labelled,
        inputs,
        names,
        preparation=preparation,
        skip_unreadable=skip_unreadable,
        split=chosen,
        shards=shards,
    )
    channels, height, width = inputs.image_shape
    which = f"all {len(data):,} images" if chosen is None else f"the {len(data):,} images of the {chosen} folder"
    how = "cut out and centred as MNIST's digits were" if preparation == "digit" else "fitted into the frame"
    note = (
        f"{which} of {name} are tested, prepared as capsnet predict does: {height}x{width}, "
        f"{'grey' if channels == 1 else 'colour'}, {how}"
    )
    return TestImages(name, chosen or "all", data, notes=(note, *data.notes))


def _describe_learned(data: ImageData, name: str, own: str, run: Run | None) -> tuple[str, ...]:
    """A note if a run learned from some of these images: files of the same folder, or arrays of the same pixels."""
    record = None if run is None else read_splits(run.folder)
    if record is None or (data.files is not None and _folder_of(name) != _folder_of(own)):
        return ()
    count = len(learned_names(record) & set(name_images(data) or ()))
    return (f"{count:,} of these images were training or validation images of the run.",) if count else ()


def _folder_of(name: str) -> Path:
    path = Path(name).resolve()
    return path if path.is_dir() else path.parent


def _own_images(
    model: CapsuleModel, run: Run, name: str, split: str, whole: bool, *, skip_unreadable: bool, shards: Shards | None
) -> TestImages:
    """A split of the folder that a run was trained on, without images that were in another split in training.

    A run that tested a part of the test images only tests all of them if `whole`.
    """
    config = run.config.change(
        data=name,
        skip_unreadable=skip_unreadable or run.config.data.skip_unreadable,
        pixel_range=model.inputs.pixel_range or run.config.data.pixel_range,
        shards=shards or run.config.data.shards,
        test_limit=None if whole else run.config.data.test_limit,
    )
    dataset = load_dataset(config)
    training, validation = split_training(config.change(validation_shift=0), dataset)
    chosen = {"train": training, "validation": validation, "test": dataset.test}[split]
    if chosen is None:
        raise UserError(f"{run.folder}: held no images out for validation; its splits are train and test")
    cautions, record = [], read_splits(run.folder)
    if record is None:
        cautions.append(f"{run.folder} has no record of its images: the test may include training images.")
    else:
        limited = whole and run.config.data.test_limit is not None
        cautions += describe_changes(record, _as_recorded(dataset, record) if limited else dataset, validation)
        elsewhere = names_elsewhere(record, split)
        kept = [k for k, file in enumerate(chosen.files or ()) if file not in elsewhere]
        if len(kept) < len(chosen):
            cautions.append(f"{len(chosen) - len(kept):,} images that were in another split in training are left out.")
            chosen = chosen.select(torch.tensor(kept, dtype=torch.long))
    data = match_classes(chosen, model, name)
    return TestImages(name, split, data, notes=dataset.notes, cautions=tuple(cautions))


def _as_recorded(dataset: Dataset, record: Splits) -> Dataset:
    """The data set with only those test images that a run tested."""
    tested, files = record.get("test"), dataset.test.files
    if not isinstance(tested, list) or files is None:
        return dataset
    names = frozenset(map(str, tested))
    kept = [k for k, file in enumerate(files) if file in names]
    return replace(dataset, test=dataset.test.select(torch.tensor(kept))) if kept else dataset


def _select(model: CapsuleModel, dataset: Dataset, split: str, validation: ImageData | None) -> TestImages:
    splits = {"train": dataset.train, "validation": validation, "test": dataset.test}
    chosen = splits[split]
    if chosen is None:
        raise UserError(f"{dataset.name} has no validation split; its splits are train and test")
    data = match_classes(chosen, model, dataset.name, dataset.pairing)
    return TestImages(dataset.name, split, data, dataset.pairing, dataset.notes)


def load_data_for(
    model: CapsuleModel,
    name: str,
    *,
    data_dir: Path | None = None,
    skip_unreadable: bool = False,
    shards: Shards | None = None,
) -> Dataset:
    """Load a data set for a model: a folder's images in the model's input size, pairs made as in training."""
    _, height, width = model.inputs.image_shape
    if height != width and is_labelled(name):
        raise UserError(f"{name}: images of a folder are square, the model takes {height}x{width}")
    dataset = load_data(
        name,
        data_dir=data_dir,
        image_size=height,
        skip_unreadable=skip_unreadable,
        pixel_range=model.inputs.pixel_range,
        shards=shards,
    )
    if dataset.pairing is None or model.pairing is None:
        return dataset
    return replace(dataset, pairing=model.pairing)


def match_classes(data: ImageData, model: CapsuleModel, name: str, pairing: Pairing | None = None) -> ImageData:
    """The data in the model's channels, with labels in the order of the model's class names.

    Args:
        data: images as they are stored.
        model: with `class_names`.
        name: of the data, for messages.
        pairing: makes the model's inputs from the images, which are smaller by its padding.

    Raises:
        UserError: images of another size, or a class that the model does not have.
    """
    channels, height, width = model.inputs.image_shape
    if pairing is not None:
        height, width = height - 2 * pairing.padding, width - 2 * pairing.padding
    images = data.images
    if images.shape[1] == 1 and channels == 3:
        images = images.expand(-1, 3, -1, -1)
    if images.shape[1:] != (channels, height, width):
        got, expected = ("x".join(map(str, shape)) for shape in (data.image_shape, (channels, height, width)))
        raise UserError(
            f"{name}: its images are {got} (channels x height x width), the model takes {expected}; test it on images "
            f"of that size, or train a network on {name}"
        )
    names = model.class_names
    unknown = [class_name for class_name in data.class_names if class_name not in names]
    if unknown:
        raise UserError(f"{name}: the model has no class {unknown[0]!r}; its classes: {', '.join(names)}")
    order = torch.tensor([names.index(class_name) for class_name in data.class_names], device=data.labels.device)
    return replace(data, images=images, labels=order[data.labels], class_names=names)

"""The data of a run: its data set, training images and validation images."""

from dataclasses import replace
from pathlib import Path

import torch

from capsnet.data import Dataset, ImageData, hold_out, load_data
from capsnet.data.holdout import check_limit
from capsnet.data.transforms.shift import draw_shifts, shift_images
from capsnet.errors import UserError
from capsnet.runs.config import RunConfig, is_object
from capsnet.runs.folder import Run
from capsnet.runs.splits import describe_changes, has_same_names, is_same_data, read_splits, write_splits


def load_dataset(config: RunConfig, dataset: Dataset | None = None) -> Dataset:
    """Load a run's data set; the test images do not depend on the seed.

    Args:
        config: the run's configuration.
        dataset: the object that was passed to the run; None: load it by its name.

    Raises:
        UserError: the data set does not exist, fails a check, or is an object that was not passed.
    """
    if dataset is None and is_object(config.data.name):
        raise UserError(
            f"the run's data ({config.data.name}) were an object, which no file holds; pass them again: data=..."
        )
    settings = config.data
    dataset = dataset or load_data(
        settings.name,
        data_dir=Path(settings.data_dir) if settings.data_dir else None,
        image_size=settings.image_size,
        skip_unreadable=settings.skip_unreadable,
        pixel_range=settings.pixel_range,
        shards=settings.shards,
    )
    if settings.test_limit is not None:
        dataset = replace(dataset, test=_limit(dataset.test, "test_limit", settings.test_limit, seed=0))
    if dataset.pairing is None:
        if settings.pairs_per_digit != 1:
            note = f"pairs_per_digit {settings.pairs_per_digit:,} has no effect: {dataset.name} is no set of pairs."
            dataset = replace(dataset, notes=(*dataset.notes, note))
        return dataset
    return replace(dataset, pairing=replace(dataset.pairing, pairs_per_digit=settings.pairs_per_digit))


def split_training(config: RunConfig, dataset: Dataset) -> tuple[ImageData, ImageData | None]:
    """The training images of a run, and its validation images, or None.

    The data set's own validation images are used if it has any; otherwise some training images are held out. With
    `validation_shift` they are shifted once, as determined by the seed: a resumed run uses the same images.

    Raises:
        UserError: nothing is left to train on, or fewer images than classes.
    """
    training, validation = dataset.train, dataset.validation
    settings, seed = config.data, config.run.seed
    if not settings.validation:
        validation = None
    elif validation is None:
        training, validation = hold_out(dataset.train, settings.validation, seed=seed)
        if validation is None and config.optimizer.stop_at is not None:
            raise UserError("stop_at needs validation images, but no class has an image to spare for them")
    if settings.limit is not None:
        training = _limit(training, "limit", settings.limit, seed=seed + 1)
    if validation is not None and settings.validation_shift:
        generator = torch.Generator().manual_seed(seed)
        shifts = draw_shifts(len(validation), settings.validation_shift, generator)
        validation = replace(validation, images=shift_images(validation.images, shifts).contiguous())
    return training, validation


def _limit(data: ImageData, name: str, limit: int, *, seed: int) -> ImageData:
    """So many of the images, or all of them where there are fewer."""
    if limit >= len(data):
        return data
    if data.files is not None or data.keys is not None:
        check_limit(name, limit, data.labels)
    return hold_out(data, len(data) - limit, seed=seed)[0]


def _describe_hold_out(config: RunConfig, validation: ImageData | None) -> tuple[str, ...]:
    """A note where no validation image could be held out, although some were asked for."""
    if validation is not None or not config.data.validation:
        return ()
    return ("No class has an image to spare for validation: the last weights are kept.",)


def compare_splits(run: Run, dataset: Dataset, validation: ImageData | None) -> tuple[str, ...]:
    """Describe how a run's data changed since it started; a new run records its data.

    Raises:
        UserError: a record that cannot be read or written, or data given anew that are not the run's.
    """
    record, held = read_splits(run.folder), _describe_hold_out(run.config, validation)
    if record is None:
        write_splits(run.folder, dataset, validation)
        if dataset.train.files is None or not (run.folder / "last").exists():
            return held
        return (
            *held,
            f"{run.folder} has no record of its images: an older capsnet held out other images, so the test may "
            "include training images; start a new run for a valid test.",
        )
    moved = record.get("data") != dataset.name
    if "sizes" in record:
        is_other = moved and not is_same_data(record, Path(dataset.name))
    else:
        # an object has no path: it may be another one of the same name
        is_other = (moved or is_object(run.config.data.name)) and not has_same_names(record, dataset)
    if is_other:
        raise UserError(
            f"{dataset.name} does not hold the images of {run.folder}, which were in {record.get('data')}; "
            "give the new path of that folder, or start a new run"
        )
    return (*held, *describe_changes(record, dataset, validation))

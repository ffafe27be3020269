"""The data of a run: its data set, the images it learns from and those held out."""

from dataclasses import replace
from pathlib import Path

import torch

from capsnet.data import Dataset, ImageData, hold_out, load_data
from capsnet.data.transforms.shift import draw_shifts, shift_images
from capsnet.errors import UserError
from capsnet.runs.config import RunConfig, is_object
from capsnet.runs.folder import Run
from capsnet.runs.splits import describe_changes, is_same_data, read_splits, write_splits


def load_dataset(config: RunConfig, dataset: Dataset | None = None) -> Dataset:
    """Load a run's data set; the test images are the same ones for every seed of the run.

    Args:
        config: the run's.
        dataset: the object that the run was given; None: it is loaded by its name.

    Raises:
        UserError: it cannot be found, fails a check, or is an object that was not given.
    """
    if dataset is None and is_object(config.data.name):
        raise UserError(
            f"the run's data ({config.data.name}) were given as an object, which no file holds; give it again: data=..."
        )
    wanted = config.data
    dataset = dataset or load_data(
        wanted.name,
        data_dir=Path(wanted.data_dir) if wanted.data_dir else None,
        image_size=wanted.image_size,
        skip_unreadable=wanted.skip_unreadable,
        pixel_range=wanted.pixel_range,
        shards=wanted.shards,
    )
    if wanted.test_limit is not None and wanted.test_limit < len(dataset.test):
        dataset = replace(dataset, test=hold_out(dataset.test, len(dataset.test) - wanted.test_limit, seed=0)[0])
    if dataset.pairing is None:
        return dataset
    return replace(dataset, pairing=replace(dataset.pairing, pairs_per_digit=wanted.pairs_per_digit))


def split_training(config: RunConfig, dataset: Dataset) -> tuple[ImageData, ImageData | None]:
    """The images that a run learns from, and those held out (None where none are).

    Validation images of the data set's own are used as they are; otherwise they are held out of the training images.
    They are moved once, by numbers that the seed gives: a resumed run uses the same.

    Raises:
        UserError: nothing is left to train on.
    """
    training, validation = dataset.train, dataset.validation
    wanted, seed = config.data, config.run.seed
    if not wanted.validation:
        validation = None
    elif validation is None:
        training, validation = hold_out(dataset.train, wanted.validation, seed=seed)
    if wanted.limit is not None and wanted.limit < len(training):
        training, _ = hold_out(training, len(training) - wanted.limit, seed=seed + 1)
    if validation is not None and wanted.validation_shift:
        generator = torch.Generator().manual_seed(seed)
        shifts = draw_shifts(len(validation), wanted.validation_shift, generator)
        validation = replace(validation, images=shift_images(validation.images, shifts).contiguous())
    return training, validation


def compare_splits(run: Run, dataset: Dataset, validation: ImageData | None) -> tuple[str, ...]:
    """Sentences about what changed in a run's data since it began; a run that begins records its data here.

    Raises:
        UserError: a record that cannot be read or written, or a folder with other files than the run's.
    """
    record = read_splits(run.folder)
    if record is None:
        write_splits(run.folder, dataset, validation)
        if dataset.train.files is None or not (run.folder / "last").exists():
            return ()
        return (
            f"{run.folder} has no record of its images: an older capsnet held out others than are held out now, so the "
            "run may be tested on images that it learned from; start a new run for a valid test.",
        )
    moved = record.get("data") != dataset.name
    if moved and "sizes" in record and not is_same_data(record, Path(dataset.name)):
        raise UserError(
            f"{dataset.name} does not hold the images of {run.folder}, which were in {record.get('data')}; "
            "give the folder to which those were moved, or start a new run"
        )
    return describe_changes(record, dataset, validation)

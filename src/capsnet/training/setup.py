"""What a run begins with: its data, the images it learns from and those held out, and what its model is."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import torch

from capsnet.data import Dataset, ImageData, hold_out, load_data
from capsnet.data.augment import draw_shifts, shift_images
from capsnet.data.inputs import Augmentation, Inputs
from capsnet.errors import UserError
from capsnet.models.factory import model_options
from capsnet.runs.config import RunConfig
from capsnet.runs.weights import ModelSpec

_ROUTING = ("routing", "iterations")


def load_dataset(config: RunConfig) -> Dataset:
    """Load a run's data set; the test images are the same ones for every seed of the run.

    Raises:
        UserError: it cannot be found, or fails a check.
    """
    dataset = load_data(
        config.data,
        data_dir=Path(config.data_dir) if config.data_dir else None,
        image_size=config.image_size,
        skip_unreadable=config.skip_unreadable,
    )
    if 0 < config.test_limit < len(dataset.test):
        dataset = replace(dataset, test=hold_out(dataset.test, len(dataset.test) - config.test_limit, seed=0)[0])
    if dataset.pairing is None:
        return dataset
    return replace(dataset, pairing=replace(dataset.pairing, pairs_per_digit=config.pairs_per_digit))


def split_training(config: RunConfig, data: ImageData) -> tuple[ImageData, ImageData | None]:
    """Split a data set's training images into those that are learned from and those held out (None where none are).

    Held out images are moved once, by numbers that the seed gives: a resumed run sees the same.

    Raises:
        UserError: nothing is left to train on.
    """
    training, validation = hold_out(data, config.validation, seed=config.seed)
    if 0 < config.limit < len(training):
        training, _ = hold_out(training, len(training) - config.limit, seed=config.seed + 1)
    if validation is not None and config.validation_shift:
        generator = torch.Generator().manual_seed(config.seed)
        shifts = draw_shifts(len(validation), config.validation_shift, generator)
        validation = replace(validation, images=shift_images(validation.images, shifts).contiguous())
    return training, validation


def specify(config: RunConfig, dataset: Dataset) -> ModelSpec:
    """What the weights file of a run says of its model.

    Raises:
        UserError: options that do not fit the data.
    """
    classes = dataset.train.class_names
    inputs = Inputs(
        dataset.input_shape, config.shrink, config.crop, config.standardize, config.enlarge, dataset.pixel_range
    )
    if dataset.pairing is not None:
        _check_pairs(config, inputs)
    _, height, width = inputs.image_shape
    for name in ("rotation", "squeeze"):
        if getattr(config, name) and height != width:
            raise UserError(f"--{name} is for square images, those of {dataset.name} are {height}x{width}")
    side = min(dataset.input_shape[1:])
    for name in ("squeeze", "erase"):
        if getattr(config, name) >= side:
            raise UserError(f"--{name} must be below the side of the images, {side}, got {getattr(config, name)}")
    offered = {
        "image_shape": inputs.shape,
        "num_classes": len(classes),
        "decoder": config.recon_weight > 0,
    }
    # a model that is made for another routing keeps it, unless the configuration says more than its defaults
    offered |= {name: getattr(config, name) for name in _ROUTING if getattr(config, name) != getattr(RunConfig, name)}
    # a CNN has neither routing nor decoder
    taken = model_options(config.model)
    options = {name: value for name, value in offered.items() if name in taken} | dict(config.model_options)
    return ModelSpec(
        config.model, options, classes, dataset.preparation, dataset.name, inputs=inputs, pairing=dataset.pairing
    )


def augmentation(config: RunConfig) -> Augmentation:
    """How a run varies its training images."""
    return Augmentation(**{item.name: getattr(config, item.name) for item in dataclasses.fields(Augmentation)})


def _check_pairs(config: RunConfig, inputs: Inputs) -> None:
    """Pairs are seen whole, and only shifted."""
    whole = inputs == Inputs(inputs.image_shape) and not config.validation_shift
    if not whole or augmentation(config) != Augmentation(shift=config.shift):
        raise UserError(
            "data that are pairs can be shifted only: without --enlarge, --shrink, --crop, --standardize, --rotation, "
            "--squeeze, --place, --erase, --flip, --brightness, --contrast and --validation-shift"
        )

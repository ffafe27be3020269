"""What a run trains: its model, and how its training images are varied."""

import dataclasses

from capsnet.data import Dataset
from capsnet.data.inputs import Augmentation, Inputs
from capsnet.errors import UserError
from capsnet.models.factory import model_options
from capsnet.runs.built import built_options
from capsnet.runs.config import RunConfig, is_object
from capsnet.runs.weights import ModelSpec


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
    name = config.data if is_object(config.data) else dataset.name
    if is_object(config.model):
        return ModelSpec(config.model, {}, classes, dataset.preparation, name, inputs=inputs, pairing=dataset.pairing)
    offered = {
        "image_shape": inputs.shape,
        "num_classes": len(classes),
        "decoder": config.recon_weight > 0,
    }
    # a CNN has neither routing nor decoder
    taken = model_options(config.model)
    options = {name: value for name, value in offered.items() if name in taken}
    options |= built_options(config) | dict(config.model_options)
    return ModelSpec(config.model, options, classes, dataset.preparation, name, inputs=inputs, pairing=dataset.pairing)


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

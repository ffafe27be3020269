"""The model of a run and the augmentation of its training images."""

from capsnet.data import Dataset
from capsnet.data.inputs import Inputs
from capsnet.data.transforms import (
    Augmentation,
    Brightness,
    Contrast,
    Erase,
    Flip,
    Place,
    Rotate,
    Shift,
    Squeeze,
    Transform,
)
from capsnet.errors import UserError
from capsnet.models.factory import model_options
from capsnet.runs.built import as_built, built_options
from capsnet.runs.config import RunConfig, is_object
from capsnet.runs.sections import AugmentationConfig
from capsnet.runs.weights import ModelSpec


def specify(config: RunConfig, dataset: Dataset) -> ModelSpec:
    """The description of a run's model, for its weights file.

    Raises:
        UserError: options do not fit the data.
    """
    classes = dataset.train.class_names
    preprocessing = config.augmentation
    inputs = Inputs(
        dataset.input_shape,
        preprocessing.shrink or 0,
        preprocessing.crop or 0,
        preprocessing.standardize,
        preprocessing.enlarge or 0,
        dataset.pixel_range,
    )
    if dataset.pairing is not None:
        _check_pairs(config, inputs)
    _check_sides(preprocessing, inputs, dataset)
    name = config.data.name if is_object(config.data.name) else dataset.name
    model = config.model
    if is_object(model.name):
        return ModelSpec(model.name, {}, classes, dataset.preparation, name, inputs=inputs, pairing=dataset.pairing)
    derived = {
        "image_shape": inputs.shape,
        "num_classes": len(classes),
        "decoder": bool(as_built(config).optimizer.recon_weight),
    }
    # a CNN has neither routing nor decoder
    accepted = model_options(model.name)
    options = {name: value for name, value in derived.items() if name in accepted}
    options |= built_options(config) | dict(model.options)
    return ModelSpec(model.name, options, classes, dataset.preparation, name, inputs=inputs, pairing=dataset.pairing)


def _check_sides(config: AugmentationConfig, inputs: Inputs, dataset: Dataset) -> None:
    """Refuse transforms that do not fit the size of the images."""
    _, height, width = inputs.image_shape
    for name, value in (("rotation", config.rotation), ("squeeze", config.squeeze)):
        if value and height != width:
            raise UserError(f"{name} is for square images, those of {dataset.name} are {height}x{width}")
    side = min(dataset.input_shape[1:])
    erase = config.erase or 0
    for name, value in (("squeeze", config.squeeze), ("erase", erase)):
        if value >= side:
            raise UserError(f"{name} must be below the side of the images, {side}, got {value}")
    if config.erase_corners is not None and config.erase_corners[1] + erase > side:
        raise UserError(
            f"erase_corners must be at most {side - erase} for a square of {erase} in these images, "
            f"got {config.erase_corners[1]}"
        )


def augmentation(config: AugmentationConfig) -> Augmentation:
    """The augmentation of a run: the transforms that its configuration enables."""
    distribution = config.distortions
    squeeze_and_place: list[tuple[object, Transform]] = [
        (config.squeeze, Squeeze(config.squeeze, distribution)),
        (config.place, Place(distribution)),
    ]
    if distribution == "normal":
        # Efficient-CapsNet's code places a digit before it squeezes it
        squeeze_and_place.reverse()
    colors = _switched_on(
        (config.brightness, Brightness(config.brightness)),
        (config.contrast, Contrast(config.contrast)),
    )
    return Augmentation(
        stored=_switched_on(
            (config.shift, Shift(config.shift, config.shift_interpolation, config.shift_fill)),
            (config.rotation, Rotate(config.rotation, config.rotation_chance, distribution)),
            *squeeze_and_place,
            (config.erase, Erase(config.erase or 0, config.erase_corners)),
        ),
        cropped=_switched_on((config.flip, Flip())) + (() if config.color_first else colors),
        scaled=colors if config.color_first else (),
    )


def _switched_on(*switches: tuple[object, Transform]) -> tuple[Transform, ...]:
    return tuple(transform for switch, transform in switches if switch)


def _check_pairs(config: RunConfig, inputs: Inputs) -> None:
    """Refuse preprocessing of pairs other than shifts by whole pixels."""
    whole = inputs == Inputs(inputs.image_shape) and not config.data.validation_shift
    shift = int(config.augmentation.shift)
    if not whole or augmentation(config.augmentation) != Augmentation((Shift(shift),) if shift else ()):
        raise UserError(
            "data that are pairs can only be shifted by whole pixels: leave out `enlarge`, `shrink`, `crop`, "
            "`standardize`, `rotation`, `squeeze`, `place`, `erase`, `flip`, `brightness`, `contrast`, "
            "`shift_interpolation`, `shift_fill` and `validation_shift`"
        )

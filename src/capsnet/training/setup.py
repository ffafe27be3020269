"""What a run trains: its model, and how its training images are varied."""

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
            raise UserError(f"{name} is for square images, those of {dataset.name} are {height}x{width}")
    side = min(dataset.input_shape[1:])
    for name in ("squeeze", "erase"):
        if getattr(config, name) >= side:
            raise UserError(f"{name} must be below the side of the images, {side}, got {getattr(config, name)}")
    if config.erase_corners is not None and config.erase_corners[1] + config.erase > side:
        raise UserError(
            f"erase_corners must be at most {side - config.erase} for a square of {config.erase} in these images, "
            f"got {config.erase_corners[1]}"
        )
    name = config.data if is_object(config.data) else dataset.name
    if is_object(config.model):
        return ModelSpec(config.model, {}, classes, dataset.preparation, name, inputs=inputs, pairing=dataset.pairing)
    offered = {
        "image_shape": inputs.shape,
        "num_classes": len(classes),
        "decoder": bool(as_built(config).recon_weight),
    }
    # a CNN has neither routing nor decoder
    taken = model_options(config.model)
    options = {name: value for name, value in offered.items() if name in taken}
    options |= built_options(config) | dict(config.model_options)
    return ModelSpec(config.model, options, classes, dataset.preparation, name, inputs=inputs, pairing=dataset.pairing)


def augmentation(config: RunConfig) -> Augmentation:
    """How a run varies its training images: the transforms that its configuration has switched on."""
    distribution = config.distortions
    squeeze_and_place: list[tuple[object, Transform]] = [
        (config.squeeze, Squeeze(config.squeeze, distribution)),
        (config.place, Place(distribution)),
    ]
    if distribution == "normal":
        # Efficient-CapsNet's authors place a digit before they squeeze it
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
            (config.erase, Erase(config.erase, config.erase_corners)),
        ),
        cropped=_switched_on((config.flip, Flip())) + (() if config.color_first else colors),
        scaled=colors if config.color_first else (),
    )


def _switched_on(*switches: tuple[object, Transform]) -> tuple[Transform, ...]:
    return tuple(transform for switch, transform in switches if switch)


def _check_pairs(config: RunConfig, inputs: Inputs) -> None:
    """Pairs are seen whole, and only shifted by whole pixels."""
    whole = inputs == Inputs(inputs.image_shape) and not config.validation_shift
    shift_only = Augmentation((Shift(int(config.shift)),) if config.shift else ())
    if not whole or augmentation(config) != shift_only:
        raise UserError(
            "data that are pairs can only be shifted by whole pixels: leave out `enlarge`, `shrink`, `crop`, "
            "`standardize`, `rotation`, `squeeze`, `place`, `erase`, `flip`, `brightness`, `contrast`, "
            "`shift_interpolation`, `shift_fill` and `validation_shift`"
        )

"""Options that a person gave, and that have no effect beside the others of a run.

Only options that were given are checked: a recipe may hold values that another option of it switches off.
"""

import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from capsnet.data import DATASETS
from capsnet.data.labelled import is_labelled
from capsnet.errors import UserError
from capsnet.runs.built import as_built
from capsnet.runs.config import RunConfig, is_object

_OF_DECAY = frozenset(("lr_decay", "lr_decay_steps", "lr_floor"))
_OF_FILES = ("image_size", "skip_unreadable", "shards")


def note_length(given: Mapping[str, object]) -> None:
    """Print which of two lengths of a run counts.

    Args:
        given: values of the options that were given, by name.
    """
    epochs, steps = given.get("epochs"), given.get("steps")
    if epochs is not None and steps is not None:
        print(f"capsnet: the length of the run is {steps} steps: epochs, {epochs}, has no effect", file=sys.stderr)


def apply_given(config: RunConfig, given: Collection[str]) -> RunConfig:
    """The configuration in which the options that were given have an effect: a decay needs the exponential schedule.

    Args:
        config: of the run, with these options.
        given: their names.

    Raises:
        UserError: an option without an effect, with the reason.
    """
    config = choose_schedule(config, given)
    values = config.options()
    note_length({name: values[name] for name in given})
    for reason in find_idle(config, given).values():
        raise UserError(reason)
    return config


def choose_schedule(config: RunConfig, given: Collection[str]) -> RunConfig:
    """The configuration with the exponential schedule, if options of a decay were given and no schedule.

    Args:
        config: of the run, with these options.
        given: their names.
    """
    if config.optimizer.schedule == "one-cycle" and "schedule" not in given and not _OF_DECAY.isdisjoint(given):
        return config.change(schedule="exponential")
    return config


def find_idle(config: RunConfig, given: Collection[str]) -> dict[str, str]:
    """The options that were given and have no effect in a run, each with a message.

    Args:
        config: of the run, with these options.
        given: their names.
    """
    values = config.options()
    return {
        name: f"{name} must be left out, got {values[name]!r}: it has no effect {reason}"
        for name, reason in (_without_optimizer(config) | _without_images(config)).items()
        # a value that is switched off asks for nothing
        if name in given and values[name] not in (None, False, "none")
    }


def _without_optimizer(config: RunConfig) -> dict[str, str]:
    """The options of the section `optimizer` that have no effect, and why."""
    optimizer, idle = config.optimizer, {}
    if optimizer.schedule == "one-cycle":
        idle = dict.fromkeys(_OF_DECAY, "with the schedule one-cycle; give schedule exponential or step")
    if optimizer.schedule == "step":
        idle["lr_decay_steps"] = "with the schedule step, which decays after the epochs in lr_milestones"
    if optimizer.name != "sgd":
        idle["momentum"] = f"with {optimizer.name}; give optimizer sgd"
    return idle


def _without_images(config: RunConfig) -> dict[str, str]:
    """The options of the sections `data` and `augmentation` that have no effect, and why."""
    data, changes, idle = config.data, config.augmentation, {}
    # a folder that is missing is named when it is read
    is_table = Path(data.name).suffix.lower() in (".npz", ".csv") and not is_labelled(data.name)
    if is_object(data.name) or data.name in DATASETS or is_table:
        idle = dict.fromkeys(_OF_FILES, f"on {data.name}: it is for folders, archives and tables of image files")
    if not data.validation:
        idle["validation_shift"] = "without validation images (validation 0)"
    if not changes.rotation:
        idle["rotation_chance"] = "without rotation"
    if not changes.shift:
        idle |= dict.fromkeys(("shift_interpolation", "shift_fill"), "with shift 0")
    if not (changes.rotation or changes.squeeze or changes.place):
        idle["distortions"] = "without rotation, squeeze and place"
    if not (changes.brightness or changes.contrast):
        idle["color_first"] = "without brightness and contrast"
    # an object may have a decoder
    cancels = bool(changes.brightness) and changes.standardize and not is_object(config.model.name)
    if cancels and not as_built(config).optimizer.recon_weight:
        idle["brightness"] = (
            "with standardize, which subtracts the mean of each image, in a run without a reconstruction loss; give "
            "contrast (of photos in colour), or leave standardize out"
        )
    return idle

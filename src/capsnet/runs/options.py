"""A configuration from a recipe and options by their names."""

from collections.abc import Mapping
from pathlib import Path

from capsnet.data import DATASETS, locate_data
from capsnet.errors import UserError
from capsnet.runs.config import RunConfig, check_names
from capsnet.runs.folder import locate_weights
from capsnet.runs.named import CONFIGS
from capsnet.runs.transfer import configure_as

FREE_ON_RESUME = frozenset(("epochs", "steps", "device", "precision", "data_dir", "data", "shards"))
"""What may change when a run goes on: its length, its device and precision, and where its data are."""


def make_config(recipe: str | RunConfig, options: Mapping[str, object]) -> RunConfig:
    """The configuration of a recipe, or a given one, changed by options.

    Of images of one's own, `"quickstart"` stands for `"own-images"`, as on the command line. With `start_from` and
    without `model`, the network is that of the weights.

    Args:
        recipe: its name, or a configuration.
        options: by their names.

    Raises:
        UserError: an unknown recipe or option, or a value out of range.
    """
    check_names(options)
    values = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    if recipe == "quickstart" and are_own_images(values.get("data")):
        recipe = "own-images"
    config = CONFIGS.get(recipe) if isinstance(recipe, str) else recipe
    source = values.get("start_from")
    if isinstance(source, str):
        values["start_from"] = locate_weights(source)
        config = config if "model" in values else configure_as(config, source)
    return config.change(**values)


def are_own_images(data: object) -> bool:
    """Whether this is a folder or file of images, not the name of a data set."""
    # of a folder or file `locate_data` gives the absolute path
    return isinstance(data, str) and data not in DATASETS and Path(locate_data(data)).is_absolute()


def resume_config(before: RunConfig, options: Mapping[str, object]) -> RunConfig:
    """The configuration of a run that goes on: only its length, its device and the place of its data may change.

    Raises:
        UserError: another option, or one that does not exist.
    """
    after = make_config(before, {name: value for name, value in options.items() if name != "start_from"})
    earlier, later = before.options(), after.options()
    for name in options:
        old, new = earlier[name], later[name]
        if old != new and name not in FREE_ON_RESUME:
            raise UserError(f"{name} cannot change on resume: the run has {old!r}, got {new!r}; start a new run")
    return after

"""The command that repeats a run, and its differences from the recipe."""

import shlex
from collections.abc import Mapping
from typing import cast

from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.runs.built import as_built
from capsnet.runs.config import RunConfig, is_object
from capsnet.runs.flags import KEY_VALUE, flag_of, flag_words
from capsnet.training.other_inputs import default_config, options_of
from capsnet.training.task import Task

Options = Mapping[str, object]


def command(config: RunConfig) -> str:
    """The command that repeats this run; if it was given Python objects, what to pass to `capsnet.train` instead."""
    objects = [f"{section}=..." for section in ("model", "data") if is_object(getattr(config, section).name)]
    if objects:
        return f"capsnet.train({', '.join(objects)}, ...)  # Python objects, which no file holds; the options are below"
    # the command line starts from a recipe, by default quickstart
    recipe = config.run.recipe if config.run.recipe in RECIPES else "quickstart"
    words, config = ["capsnet", "train", recipe], _built(config)
    start = RECIPES.get(recipe).config
    # omit what the recipe would build with this model anyway
    built = _built(start.change(model=config.model.name, model_options=config.model.options))
    start = built.change(model=start.model.name, model_options=start.model.options)
    theirs = start.options()
    for name, value in config.options().items():
        # a run has a number of steps, or of epochs
        other_length = "epochs" if config.optimizer.steps is not None else "steps"
        omitted = name in ("recipe", other_length, *KEY_VALUE)
        if omitted or value == theirs[name]:
            continue
        words += flag_words(name, value)
    for name in KEY_VALUE:
        before, after = cast(Options, theirs[name]), cast(Options, config.options()[name])
        changed = {key: value for key, value in after.items() if before.get(key) != value}
        if changed:
            words += flag_words(name, changed)
    return shlex.join(words)


def other_command(config: RunConfig, task: Task) -> str:
    """The command that repeats a run that trained a segmentation model or a model of sequences."""
    words, values = ["capsnet", "train", config.model.name], config.options()
    before = default_config(task).options()
    for name in ("data", *options_of(task)):
        # a run with a number of steps has no epochs
        omitted = name in ("model", "model_options") or (name == "epochs" and config.optimizer.steps is not None)
        if not omitted and values[name] != before[name] and flag_of(name) not in words:
            words += flag_words(name, values[name])
    if config.model.options:
        words += flag_words("model_options", config.model.options)
    return shlex.join(words)


def changes(recipe: RunConfig, config: RunConfig) -> str:
    """The options in which a run differs from its recipe, as text; empty if there are none."""
    ours, theirs = _built(config).options(), _built(recipe).options()
    skipped = ("device", "precision", "execution", "fixed_order", "data_dir")
    changed = [name for name in ours if ours[name] != theirs[name] and name not in skipped]
    return ", ".join(
        f"{name.replace('_', ' ')} {_word(ours[name])} instead of {_word(theirs[name])}" for name in changed
    )


def _built(config: RunConfig) -> RunConfig:
    """The resolved configuration; unchanged if its model is unknown to this version."""
    try:
        return as_built(config)
    except UserError:
        return config


def _word(value: object) -> str:
    return "none" if value is None else str(value)

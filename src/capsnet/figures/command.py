"""The command that makes a run again, and where a run differs from its recipe."""

import dataclasses
import shlex
from dataclasses import replace

from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.runs.built import as_built
from capsnet.runs.config import RunConfig


def command(config: RunConfig) -> str:
    """The command that makes this run again."""
    # the command line starts from a recipe, from the quick start where none is named
    recipe = config.recipe if config.recipe in RECIPES else "quickstart"
    words, config = ["capsnet", "train", recipe], _built(config)
    start = RECIPES.get(recipe).config
    # what the recipe would build with this model need not be given
    own = _built(replace(start, model=config.model, model_options=config.model_options))
    start = replace(own, model=start.model, model_options=start.model_options)
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if item.name in ("recipe", "model_options") or value == getattr(start, item.name):
            continue
        flag = item.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, tuple):
            words += [f"--{flag}", *map(str, value)]
        else:
            words += [f"--{flag}", shlex.quote(str(value))]
    options = {key: value for key, value in config.model_options.items() if start.model_options.get(key) != value}
    if options:
        words += ["--option", *(shlex.quote(f"{key}={_plain(value)}") for key, value in options.items())]
    return " ".join(words)


def changes(recipe: RunConfig, config: RunConfig) -> str:
    """The options in which a run differs from its recipe, in words; empty if there are none."""
    ours, theirs = dataclasses.asdict(_built(config)), dataclasses.asdict(_built(recipe))
    skipped = ("device", "precision", "execution", "data_dir")
    changed = [name for name in ours if ours[name] != theirs[name] and name not in skipped]
    return ", ".join(f"{name.replace('_', ' ')} {ours[name]} in place of {theirs[name]}" for name in changed)


def _built(config: RunConfig) -> RunConfig:
    """The configuration as it was built; as it is, where this capsnet does not know its model."""
    try:
        return as_built(config)
    except UserError:
        return config


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

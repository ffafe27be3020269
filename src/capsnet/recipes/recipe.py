"""What a recipe is."""

from dataclasses import dataclass, replace

from capsnet.registry import Registry
from capsnet.runs.config import RunConfig
from capsnet.runs.named import CONFIGS


@dataclass(frozen=True)
class Recipe:
    """A run's configuration, where it comes from and what that source reports.

    Args:
        config: the run.
        summary: one line.
        source: the paper or repository.
        reported: the source's own result, in words.
        differs: how this run differs from the source's, in words.
    """

    config: RunConfig
    summary: str
    source: str
    reported: str
    differs: str = "nothing known"


UNCHECKED = "a number that was not checked against the source, and is not repeated here"
"""What a recipe says of such a number."""

RECIPES: Registry[Recipe] = Registry("recipe")


def add_recipe(name: str, recipe: Recipe) -> None:
    """Register a recipe; its runs carry its name."""
    named = replace(recipe, config=replace(recipe.config, recipe=name))
    RECIPES.add(name, named)
    CONFIGS.add(name, named.config)

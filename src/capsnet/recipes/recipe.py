"""The recipe type and registry."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from capsnet.registry import Registry
from capsnet.runs.config import RunConfig
from capsnet.runs.named import CONFIGS


@dataclass(frozen=True)
class Recipe:
    """A run's configuration, its source and the result that the source reports.

    Args:
        config: of the run.
        summary: one line.
        source: the paper or repository.
        reported: the source's result, in words.
        differs: how this run differs from the source's, in words.
        settings: the origin of each option of `config`: `"owner/repository@commit file:line"`, a section of a paper,
            or `OWN`. Origins cited second-hand are marked as not read.
    """

    config: RunConfig
    summary: str
    source: str
    reported: str
    differs: str = "nothing known"
    settings: Mapping[str, str] = field(default_factory=dict)

    def is_of(self, config: RunConfig) -> bool:
        """Whether a run has the recipe's data and model: the reported result may stand beside it."""
        return (config.data.name, config.model.name) == (self.config.data.name, self.config.model.name)


UNCHECKED = "a number that was not checked against the source, and is not repeated here"
"""`reported`, if the source's number is unverified."""

SECOND_HAND = " (cited, not read)"
"""The end of an origin that was cited second-hand."""

OWN = "this package's choice"
"""The origin of a setting that no source states."""

RECIPES: Registry[Recipe] = Registry("recipe", "capsnet.recipes")


def add_recipe(name: str, recipe: Recipe) -> None:
    """Register a recipe under a name, which its runs record."""
    named = replace(recipe, config=recipe.config.change(recipe=name))
    RECIPES.add(name, named)
    CONFIGS.add(name, named.config)


def own(*options: str) -> dict[str, str]:
    """The origin of options that this package chose."""
    return dict.fromkeys(options, OWN)


def in_code(code: str, **places: str) -> dict[str, str]:
    """The origin of options in a repository.

    Args:
        code: `"owner/repository@commit"`.
        places: for each option, the file and line, `"config.py:33"`.
    """
    return {option: f"{code} {place}" for option, place in places.items()}


def cited(paper: str, **places: str) -> dict[str, str]:
    """The origin of options in a paper cited second-hand, whose text was not read.

    Args:
        paper: authors and year.
        places: for each option, the section.
    """
    return {option: f"{paper}, {place}{SECOND_HAND}" for option, place in places.items()}

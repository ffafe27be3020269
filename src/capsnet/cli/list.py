"""`capsnet list`."""

from collections.abc import Callable
from dataclasses import dataclass

import tyro

from capsnet.cli.parse import parse
from capsnet.data import DATASETS
from capsnet.models import MODELS
from capsnet.recipes import RECIPES
from capsnet.registry import Registry
from capsnet.routing import ROUTINGS
from capsnet.runs.pretrained import list_pretrained, model_card
from capsnet.studies import STUDIES


@dataclass(frozen=True)
class List:
    """List what there is.

    Examples:
      capsnet list recipes
      capsnet list models
    """

    kind: tyro.conf.Positional[str] = "all"
    """models, routings, data, recipes, studies, pretrained, or all."""


def main(args: list[str]) -> None:
    """Print names, each with a line about it."""
    kind = parse(List, args).kind
    kinds = list(KINDS) if kind == "all" else [kind]
    listed = {name: KINDS.get(name)() for name in kinds}
    width = max(len(name) for lines in listed.values() for name in lines)
    for name, lines in listed.items():
        if kind == "all":
            print(f"{name}:")
        for entry, line in lines.items():
            print(f"{entry:{width}}  {line}")


KINDS: Registry[Callable[[], dict[str, str]]] = Registry("kind")
KINDS.add("models", lambda: {name: MODELS.get(name).summary for name in MODELS})
KINDS.add("routings", lambda: {name: first_line(ROUTINGS.get(name).__doc__) for name in ROUTINGS})
KINDS.add("data", lambda: {name: DATASETS.get(name).summary for name in DATASETS})
KINDS.add("recipes", lambda: {name: RECIPES.get(name).summary for name in RECIPES})
KINDS.add("studies", lambda: {name: STUDIES.get(name).summary for name in STUDIES})
KINDS.add("pretrained", lambda: {name: model_card(name).split("\n")[2] for name in list_pretrained()})


def first_line(text: str | None) -> str:
    """The first line of a docstring, without its marks of code."""
    return (text or "").strip().split("\n")[0].replace("`", "")

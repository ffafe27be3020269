"""`capsnet list`."""

from dataclasses import dataclass

import tyro

from capsnet.cli.catalogue import KINDS, list_entries
from capsnet.cli.parse import parse


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
    listed = {name: list_entries(name) for name in kinds}
    width = max(len(name) for lines in listed.values() for name in lines)
    for name, lines in listed.items():
        if kind == "all":
            print(f"{name}:")
        for entry, line in lines.items():
            print(f"{entry:{width}}  {line}")

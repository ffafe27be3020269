"""`capsnet list`."""

import shutil
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import tyro

from capsnet.cli.catalogue import KINDS, list_entries
from capsnet.cli.parse import parse

_LINE = 80


@dataclass(frozen=True)
class List:
    """List models (also of segmentation and sequences), routings, data, recipes, studies, pretrained weights.

    Examples:
      capsnet list recipes
      capsnet list models
    """

    kind: tyro.conf.Positional[str] = "all"
    """models, segmenters, sequence-models, routings, data, recipes, studies, pretrained, or all."""


def main(args: list[str]) -> None:
    """Print names with their summaries, grouped by their first word."""
    kind = parse(List, args).kind
    kinds = list(KINDS) if kind == "all" else [kind]
    width = min(_LINE, max(40, shutil.get_terminal_size((_LINE, 24)).columns))
    for number, name in enumerate(kinds):
        if kind == "all":
            print(f"{chr(10) if number else ''}{name}:")
        print(*layout(list_entries(name), width), sep="\n")
    print("\ncapsnet show NAME gives details")


def layout(entries: Mapping[str, str], width: int = _LINE) -> list[str]:
    """Lines of at most `width` columns: names with their summaries, and a gap between groups of names.

    A very long name gets its own line.
    """
    column = min(max(map(len, entries), default=0), max(12, width // 3))
    lines: list[str] = []
    for number, group in enumerate(_groups(entries)):
        if number and len(entries) > _FEW:
            lines.append("")
        for name in group:
            texts = textwrap.wrap(entries[name], width - column - 4, break_on_hyphens=False) or [""]
            if len(name) > column:
                lines.append(f"  {name}")
                name = ""
            lines += [
                f"  {head:{column}}  {text}".rstrip()
                for head, text in zip([name, *[""] * (len(texts) - 1)], texts, strict=True)
            ]
    return lines


_FEW = 16


def _groups(names: Iterable[str]) -> list[list[str]]:
    """Names in order, grouped by their first word."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.split("-")[0].rstrip("0123456789"), []).append(name)
    return list(groups.values())

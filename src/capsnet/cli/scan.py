"""Find the recipe and a few values on a command line before it is parsed: they choose the defaults of all options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args, get_origin

from capsnet.cli.flags import Field, list_fields


@dataclass(frozen=True)
class Scanned:
    """What is on a command line.

    Args:
        positions: of the arguments without a flag.
        values: of each option that takes some, by its name with underscores.
    """

    positions: Sequence[int]
    values: Mapping[str, Sequence[str]]

    def last(self, name: str) -> str | None:
        """The last value of an option; None: it was not given."""
        return self.values[name][-1] if name in self.values else None


def scan(args: Sequence[str], options: type) -> Scanned:
    """Tell the values of flags from other arguments; `parse` checks all of them later.

    Args:
        args: arguments after the verb.
        options: the verb's dataclass.

    Example:
        >>> scan(["--epochs", "3", "quickstart"], Train)
        Scanned(positions=[2], values={'epochs': ['3']})
    """
    taken = {field.option: _count_values(field) for field in list_fields(options)}
    positions: list[int] = []
    values: dict[str, list[str]] = {}
    left, name = 0, ""
    for position, word in enumerate(args):
        if word.startswith("--"):
            name, sign, value = word.removeprefix("--").partition("=")
            name = name.replace("-", "_")
            left = taken.get(name, 0 if name.removeprefix("no_") in taken else 1)
            if sign:
                values.setdefault(name, []).append(value)
                left -= left == 1
        elif left:
            left -= 1
            values.setdefault(name, []).append(word)
        elif not word.startswith("-"):
            positions.append(position)
    return Scanned(positions, values)


def _count_values(field: Field) -> int:
    """How many words after its flag are an option's; for a list, all of them."""
    if field.value_type is bool:
        return 0
    # of `tuple[int, int] | None`, the tuple
    kinds = [kind for kind in (field.value_type, *get_args(field.value_type)) if get_origin(kind) is tuple]
    if not kinds:
        return 1
    parts = get_args(kinds[0])
    return 1_000_000 if Ellipsis in parts else len(parts)

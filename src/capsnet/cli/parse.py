"""Dataclasses as command lines, with faults of one line."""

import contextlib
import io
import re
from collections.abc import Sequence
from inspect import cleandoc
from typing import TypeVar

import tyro

from capsnet.errors import UserError

T = TypeVar("T")


def parse(options: type[T], args: Sequence[str], default: T | None = None) -> T:
    """Read `args` into a dataclass; its docstring and its fields' docstrings are the help.

    Args:
        options: the dataclass; its name in lower case is the verb.
        args: words behind the verb.
        default: where the defaults come from, in place of the dataclass's own.

    Raises:
        UserError: words that are no options of it, or values of the wrong kind.
    """
    verb, said = options.__name__.lower(), io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                options,
                prog=f"capsnet {verb}",
                description=cleandoc(options.__doc__ or ""),
                args=args,
                default=tyro.MISSING_NONPROP if default is None else default,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UserError(f"{_one_line(said.getvalue())} (capsnet {verb} --help)") from None


def _one_line(box: str) -> str:
    """The message in a box of text: what stands before its first rule, and the option it suggests."""
    lines = [line.strip("│ ") for line in box.splitlines() if line.startswith("│")]
    message, suggestion = [], ""
    for line in lines:
        if line.startswith("─"):
            break
        message.append(line)
    for place, line in enumerate(lines):
        if line.startswith("Perhaps you meant") and place + 1 < len(lines):
            suggestion = f"; did you mean {lines[place + 1].split()[0]}?"
    text = re.sub(r"\s+", " ", " ".join(message)) or "the command line cannot be read"
    # a fault that a dataclass itself finds comes with its name
    return re.sub(r"^Error parsing [A-Z]\w*: ", "", text) + suggestion

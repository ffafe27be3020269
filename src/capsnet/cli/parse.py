"""Dataclasses as command lines, with faults of one line."""

import contextlib
import io
import json
import re
from collections.abc import Sequence
from inspect import cleandoc
from typing import TypeVar

import tyro

from capsnet.errors import UserError
from capsnet.runs.config import Option

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


def key_and_value(flag: str, word: str) -> tuple[str, Option]:
    """Read KEY=VALUE, where the value is a number, true, false or a word.

    Raises:
        UserError: something else; `flag` is named.
    """
    key, sign, text = word.partition("=")
    if not sign or not key:
        raise UserError(f"{flag} must be KEY=VALUE, got {word!r}")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    if not isinstance(value, bool | int | float | str):
        raise UserError(f"{flag} {key} must be a number, true, false or a word, got {text!r}")
    return key, value


def _one_line(box: str) -> str:
    """The message in a box of text: its first part, and the option that a later part suggests.

    Parts are divided by rules; where the box is drawn without line characters, its title is a part before the first.
    """
    parts: list[list[str]] = [[]]
    for line in box.splitlines():
        text = line.strip("│ ")
        if re.fullmatch(r"[─-]+", text) or text.startswith(("╭", "╰")):
            parts.append([])
        else:
            parts[-1].append(text)
    parts = [part for part in parts if any(part)]
    titled = not box.lstrip().startswith("╭")
    if len(parts) <= titled:
        return "the command line cannot be read"
    message = re.sub(r"\s+", " ", " ".join(parts[titled])).strip()
    # a fault that a dataclass itself finds comes with its name
    message = re.sub(r"^Error parsing [A-Z]\w*: ", "", message)
    lines = [line for part in parts for line in part]
    suggested = next((lines[k + 1] for k, line in enumerate(lines[:-1]) if line.startswith("Perhaps you meant")), "")
    return message + (f"; did you mean {suggested.split()[0]}?" if suggested else "")

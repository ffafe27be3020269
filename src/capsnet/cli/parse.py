"""Parse command lines into dataclasses, with error messages of one line."""

import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, TypeVar, get_args, get_origin

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from capsnet.cli.flags import list_fields
from capsnet.cli.help_lines import fitted_help
from capsnet.cli.keras_options import REPLACED, find_replacement
from capsnet.errors import UserError
from capsnet.runs.flags import as_tuples

T = TypeVar("T")


class PathTuple(tuple[Path, ...]):
    """Any number of paths."""


PathArguments = Annotated[
    PathTuple,
    PrimitiveConstructorSpec(
        nargs="*",
        metavar="PATH [PATH ...]",
        instance_from_str=lambda words: PathTuple(map(Path, words)),
        is_instance=lambda value: isinstance(value, PathTuple),
        str_from_instance=lambda paths: [*map(str, paths)],
    ),
]
"""`tuple[Path, ...]` of a command line; for that type, tyro imports a type checker, which takes 0.05 s."""


def parse(options: type[T], args: Sequence[str], default: T | None = None) -> T:
    """Read `args` into a dataclass; its docstring and its fields' docstrings are the help.

    Args:
        options: the dataclass, named after the verb (ImportKeras for import-keras).
        args: arguments after the verb.
        default: instance with the defaults; None: the dataclass's defaults.

    Raises:
        UserError: unknown options, or values of another type.
    """
    verb, error_box = re.sub(r"(?<!^)(?=[A-Z])", "-", options.__name__).lower(), io.StringIO()
    args = _joined_lists(_needed_switches(args, _switches(options, default)), _lists(options))
    try:
        with contextlib.redirect_stderr(error_box), _unblocked("torch"), fitted_help():
            return tyro.cli(
                options,
                prog=f"capsnet {verb}",
                description=cleandoc(options.__doc__ or ""),
                args=args,
                default=tyro.MISSING_NONPROP if default is None else default,
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        message = _one_line(error_box.getvalue(), verb, options)
        raise UserError(message if REPLACED in message else f"{message} (capsnet {verb} --help)") from None


@contextlib.contextmanager
def _unblocked(module: str) -> Iterator[None]:
    """Hide a module that is blocked by None in `sys.modules`: tyro would treat it as imported."""
    blocked = module in sys.modules and sys.modules[module] is None
    if blocked:
        del sys.modules[module]
    try:
        yield
    finally:
        if blocked:
            sys.modules[module] = None  # type: ignore[assignment] # Python's documented way to block an import


def _switches(options: type, default: object) -> Mapping[str, bool]:
    """The boolean options with their defaults."""
    start = {}
    for field in list_fields(options):
        if field.value_type is bool:
            group = getattr(default, field.owner) if default is not None and field.owner else default
            value = field.default if group is None else getattr(group, field.name)
            start[field.option.replace("_", "-")] = value is True
    return start


def _needed_switches(args: Sequence[str], start: Mapping[str, bool]) -> list[str]:
    """The arguments without switches that repeat a default: tyro accepts only the other form, `--flip` or `--no-flip`.

    Raises:
        UserError: a switch has a value.
    """
    kept: list[str] = []
    for position, word in enumerate(args):
        name, sign, value = word.removeprefix("--").replace("_", "-").partition("=")
        switch = name.removeprefix("no-")
        if not word.startswith("--") or switch not in start:
            kept.append(word)
            continue
        following = value if sign else "".join(args[position + 1 : position + 2])
        if sign or following.lower() in ("true", "false"):
            raise UserError(f"--{switch} takes no value, got {following!r}: give --{switch} or --no-{switch}")
        # the last occurrence counts
        needed = f"--no-{switch}" if start[switch] else f"--{switch}"
        kept = [before for before in kept if before != needed]
        if f"--{name}" == needed:
            kept.append(needed)
    return kept


def _lists(options: type) -> frozenset[str]:
    """The flags that take any number of values."""
    fields = (field for field in list_fields(options) if get_origin(field.value_type) is tuple and not field.markers)
    return frozenset(
        f"--{field.option.replace('_', '-')}" for field in fields if get_args(field.value_type)[1:] == (Ellipsis,)
    )


def _joined_lists(args: Sequence[str], lists: frozenset[str]) -> list[str]:
    """The arguments with the values of a repeated list behind its first flag: tyro keeps only those of its last one."""
    parts: list[list[str]] = []
    values: dict[str, list[str]] = {}
    current: list[str] | None = None
    for position, word in enumerate(args):
        if word == "--":
            parts.append([*args[position:]])
            break
        name, sign, value = word.partition("=")
        flag = name.replace("_", "-")
        if word.startswith("--") and flag in lists:
            if flag not in values:
                values[flag] = [flag]
                parts.append(values[flag])
            current = values[flag]
            current += [value] if sign else []
        elif current is None or word.startswith("--"):
            current = None
            parts.append([word])
        else:
            current.append(word)
    return [word for part in parts for word in part]


def key_and_value(flag: str, word: str) -> tuple[str, object]:
    """Parse KEY=VALUE, where the value is a number, true, false, a word, or a list such as [32,16].

    Raises:
        UserError: the word has another form; the message names `flag`.
    """
    key, sign, text = word.partition("=")
    if not sign or not key:
        raise UserError(f"{flag} must be KEY=VALUE, got {word!r}")
    try:
        # Python's True and False are read, too
        value = json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except json.JSONDecodeError:
        value = text
    if not isinstance(value, bool | int | float | str | list):
        raise UserError(f"{flag} {key} must be a number, true, false, a word or a list, got {text!r}")
    return key, as_tuples(value)


def _one_line(box: str, verb: str, options: type) -> str:
    """The message in tyro's error box: its first section, and the option that a later section suggests.

    tyro has no public interface to its errors: the hook in `tyro._errors` is private, and may change in any release.
    """
    sections = _split_box(box)
    if not sections:
        return "the command line cannot be read"
    message = re.sub(r"\s+", " ", " ".join(sections[0])).strip()
    # remove the dataclass's name from its own errors
    message = re.sub(r"^Error parsing [A-Z]\w*: ", "", message)
    plain = _say_missing(message) or _say_value(message)
    if plain is not None:
        return plain
    unknown = re.match(r"Unrecognized options: ([^, ]*)", message)
    if unknown and not unknown[1].startswith("-"):
        return (
            f"unexpected argument {unknown[1]!r}; give the arguments without a flag side by side, and no more than the "
            "command takes"
        )
    if unknown:
        replacement = find_replacement(unknown[1], message, verb, {field.option for field in list_fields(options)})
        if replacement is not None:
            return replacement
        message = f"unknown option {unknown[1]}"
    lines = [line for section in sections for line in section]
    suggested = next((lines[k + 1] for k, line in enumerate(lines[:-1]) if line.startswith("Perhaps you meant")), "")
    # suggest the plain form of a switch
    if unknown and not unknown[1].startswith("--no-"):
        suggested = suggested.replace("--no-", "--", 1)
    return message + (f"; did you mean {suggested.split()[0]}?" if suggested else "")


def _split_box(box: str) -> list[list[str]]:
    """The sections of tyro's error box, in lines, without its title.

    Sections are divided by rules; in a box without line characters, the title is a section before the first one.
    """
    # tyro colours the box on a terminal
    box = re.sub(r"\x1b\[[\d;]*m", "", box)
    sections: list[list[str]] = [[]]
    for line in box.splitlines():
        text = line.strip("│ ")
        if re.fullmatch(r"[─-]+", text) or text.startswith(("╭", "╰")):
            sections.append([])
        else:
            sections[-1].append(text)
    sections = [section for section in sections if any(section)]
    return sections if box.lstrip().startswith("╭") else sections[1:]


def _say_missing(message: str) -> str | None:
    """Arguments that were not given: `RUN is missing: the run's folder`."""
    if not message.startswith("Missing from "):
        return None
    entries = re.findall(r"(\S+) (.+?)\.? \(required\)", message.partition(": ")[2])
    names = " and ".join(name for name, _ in entries)
    if len(entries) != 1:
        return f"{names or 'arguments'} are missing"
    meaning = entries[0][1]
    return f"{names} is missing: {meaning[0].lower()}{meaning[1:]}"


def _say_value(message: str) -> str | None:
    """A value that is no number, or not as many as an option takes."""
    option = re.match(r"Error parsing (--?[\w-]+):", message)
    if option is None:
        return None
    number = re.search(
        r"(invalid literal for int\(\) with base 10|could not convert string to float): ('.*?')", message
    )
    if number:
        return f"{option[1]} must be a {'whole number' if 'int()' in number[1] else 'number'}, got {number[2]}"
    # a pair of numbers; those after it in the message were given
    pair = re.search(r"\{((?:FLOAT|INT)(?: (?:FLOAT|INT))+)\} could be instantiated from \[(.*?)\]", message)
    if pair is None:
        return None
    words = pair[1].split()
    kind = "numbers" if "FLOAT" in words else "whole numbers"
    got = pair[2].replace("'", "").replace(",", "")
    more = "; give other arguments before it" if pair[2].count(",") >= len(words) else ""
    return f"{option[1]} must be {len(words)} {kind}, got {got or 'none'}{more}"

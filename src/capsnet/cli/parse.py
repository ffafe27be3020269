"""Parse command lines into dataclasses, with error messages of one line."""

import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, TypeVar

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from capsnet.cli.flags import list_fields
from capsnet.cli.help_lines import fitted_help
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

_WEIGHTS = (
    "capsnet evaluate RUN to test, capsnet train --resume RUN to continue; capsnet import-keras FILE RUN converts "
    "an .h5 file"
)
_TEST = (
    "capsnet evaluate RUN to test, capsnet figures RUN manipulate --digit N to draw; capsnet import-keras FILE RUN "
    "converts an .h5 file"
)
# options of CapsNet-Keras, written with hyphens, and what replaces them
_KERAS_OPTIONS = {
    "num-routing": "--iterations N",
    "routings": "--iterations N",
    "r": "--iterations N",
    "lam-recon": "--recon-weight X, where X is lam_recon divided by the number of pixels: 0.392 becomes 0.0005, "
    "0.0005 becomes 6.378e-7 (784 pixels)",
    "shift-fraction": "--shift N, in whole pixels: 0.1 of 28 pixels becomes 2",
    "save-dir": "--out FOLDER",
    "debug": "--tensorboard",
    "weights": _WEIGHTS,
    "w": _WEIGHTS,
    "is-training": _TEST,
    "testing": _TEST,
    "t": _TEST,
    "digit": "capsnet figures RUN manipulate --digit N",
    "gpus": "torchrun --nproc-per-node N -m capsnet train RECIPE",
}
# options here that take over a number, and the options of CapsNet-Keras that give it
_NUMBERED = {"--iterations": "-r|--routings|--num[_-]routing", "--digit": "--digit", "--nproc-per-node": "--gpus"}
_REPLACED = "is an option of CapsNet-Keras; use"


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
    args = _needed_switches(args, _switches(options, default))
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
        message = _one_line(error_box.getvalue())
        raise UserError(message if _REPLACED in message else f"{message} (capsnet {verb} --help)") from None


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


def key_and_value(flag: str, word: str) -> tuple[str, object]:
    """Parse KEY=VALUE, where the value is a number, true, false, a word, or a list such as [32,16].

    Raises:
        UserError: the word has another form; the message names `flag`.
    """
    key, sign, text = word.partition("=")
    if not sign or not key:
        raise UserError(f"{flag} must be KEY=VALUE, got {word!r}")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    if not isinstance(value, bool | int | float | str | list):
        raise UserError(f"{flag} {key} must be a number, true, false, a word or a list, got {text!r}")
    return key, as_tuples(value)


def _one_line(box: str) -> str:
    """The message in tyro's error box: its first section, and the option that a later section suggests.

    tyro has no public interface to its errors: the hook in `tyro._errors` is private, and may change in any release.
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
    has_title = not box.lstrip().startswith("╭")
    if len(sections) <= has_title:
        return "the command line cannot be read"
    message = re.sub(r"\s+", " ", " ".join(sections[has_title])).strip()
    # remove the dataclass's name from its own errors
    message = re.sub(r"^Error parsing [A-Z]\w*: ", "", message)
    option = re.match(r"Error parsing (--?[\w-]+):", message)
    number = re.search(
        r"(invalid literal for int\(\) with base 10|could not convert string to float): ('.*?')", message
    )
    if option and number:
        return f"{option[1]} must be a {'whole number' if 'int()' in number[1] else 'number'}, got {number[2]}"
    unknown = re.match(r"Unrecognized options: (-[^,]*)", message)
    if unknown:
        name = unknown[1].partition("=")[0]
        replacement = _KERAS_OPTIONS.get(name.lstrip("-").replace("_", "-"))
        if replacement is not None:
            # suggest `--iterations 1` for `--num_routing 1`
            for here, there in _NUMBERED.items():
                value = re.search(rf"(?<![\w-])(?:{there})[,= ]+(\d+)", message)
                if value:
                    replacement = replacement.replace(f"{here} N", f"{here} {value[1]}")
            return f"{name} {_REPLACED} {replacement}"
        message = f"unknown option {unknown[1]}"
    lines = [line for section in sections for line in section]
    suggested = next((lines[k + 1] for k, line in enumerate(lines[:-1]) if line.startswith("Perhaps you meant")), "")
    # suggest the plain form of a switch
    if unknown and not unknown[1].startswith("--no-"):
        suggested = suggested.replace("--no-", "--", 1)
    return message + (f"; did you mean {suggested.split()[0]}?" if suggested else "")

"""Dataclasses as command lines, with faults of one line."""

import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from typing import TypeVar

import tyro

from capsnet.cli.flags import list_fields
from capsnet.errors import UserError

T = TypeVar("T")

_WEIGHTS = (
    "capsnet evaluate RUN to test, capsnet train --resume RUN to go on; capsnet import-keras FILE RUN makes a run of "
    "an .h5 file"
)
# options of CapsNet-Keras, written with hyphens, and what replaces them
_KERAS_OPTIONS = {
    "num-routing": "--iterations N",
    "routings": "--iterations N",
    "r": "--iterations N",
    "lam-recon": "--recon-weight X, where X is lam_recon divided by the number of pixels: 0.392 becomes 0.0005",
    "shift-fraction": "--shift N, in whole pixels: 0.1 of 28 pixels becomes 2",
    "save-dir": "--out FOLDER",
    "debug": "--tensorboard",
    "weights": _WEIGHTS,
    "w": _WEIGHTS,
    "is-training": "capsnet evaluate RUN to test",
    "testing": "capsnet evaluate RUN",
    "t": "capsnet evaluate RUN",
    "digit": "capsnet figures RUN manipulate --digit N",
    "gpus": "capsnet reproduce STUDY --jobs N, a network on each GPU",
}
_REPLACED = "is an option of CapsNet-Keras; use"


def parse(options: type[T], args: Sequence[str], default: T | None = None) -> T:
    """Read `args` into a dataclass; its docstring and its fields' docstrings are the help.

    Args:
        options: the dataclass; its name is the verb, ImportKeras of import-keras.
        args: words behind the verb.
        default: where the defaults come from, in place of the dataclass's own.

    Raises:
        UserError: words that are no options of it, or values of the wrong kind.
    """
    # ImportKeras reads the options of import-keras
    verb, said = re.sub(r"(?<!^)(?=[A-Z])", "-", options.__name__).lower(), io.StringIO()
    args = _needed_switches(args, _switches(options, default))
    try:
        with contextlib.redirect_stderr(said), _unblocked("torch"):
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
        message = _one_line(said.getvalue())
        raise UserError(message if _REPLACED in message else f"{message} (capsnet {verb} --help)") from None


@contextlib.contextmanager
def _unblocked(module: str) -> Iterator[None]:
    """Hide a module that None blocks in `sys.modules`: tyro would take it for one that is imported."""
    blocked = module in sys.modules and sys.modules[module] is None
    if blocked:
        del sys.modules[module]
    try:
        yield
    finally:
        if blocked:
            sys.modules[module] = None  # type: ignore[assignment] # what Python documents to block an import


def _switches(options: type, default: object) -> Mapping[str, bool]:
    """The options that are on or off, with what they are if they are not given."""
    start = {}
    for field in list_fields(options):
        if field.kind is bool:
            part = getattr(default, field.owner) if default is not None and field.owner else default
            value = field.default if part is None else getattr(part, field.name)
            start[field.option.replace("_", "-")] = value is True
    return start


def _needed_switches(args: Sequence[str], start: Mapping[str, bool]) -> list[str]:
    """The words without switches that change nothing: only `--flip` or only `--no-flip` is an option, by its default.

    Raises:
        UserError: a switch with a value behind it.
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
        # the last of several counts
        needed = f"--no-{switch}" if start[switch] else f"--{switch}"
        kept = [before for before in kept if before != needed]
        if f"--{name}" == needed:
            kept.append(needed)
    return kept


def key_and_value(flag: str, word: str) -> tuple[str, bool | int | float | str]:
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
    """The message in tyro's error box: its first part, and the option that a later part suggests.

    tyro has no public interface to its errors: the hook in `tyro._errors` is private, and may change in any release.
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
    unknown = re.match(r"Unrecognized options: (-[^,]*)", message)
    if unknown:
        name = unknown[1].partition("=")[0]
        replacement = _KERAS_OPTIONS.get(name.lstrip("-").replace("_", "-"))
        if replacement is not None:
            # `--num_routing 1` is answered with `--iterations 1`
            given = re.match(r"Unrecognized options: -[^,]*[,=] ?(\d+)", message)
            if given:
                replacement = re.sub(r"(--iterations|--digit) N", rf"\1 {given[1]}", replacement)
            return f"{name} {_REPLACED} {replacement}"
        message = f"unknown option {unknown[1]}"
    lines = [line for part in parts for line in part]
    suggested = next((lines[k + 1] for k, line in enumerate(lines[:-1]) if line.startswith("Perhaps you meant")), "")
    # a switch is suggested as it is called, whichever form changes its default
    if unknown and not unknown[1].startswith("--no-"):
        suggested = suggested.replace("--no-", "--", 1)
    return message + (f"; did you mean {suggested.split()[0]}?" if suggested else "")

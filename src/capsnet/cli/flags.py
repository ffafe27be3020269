"""Translate Python names of arguments in messages to flags of the command line."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, cast, get_args, get_origin, get_type_hints

import tyro

from capsnet.runs.flags import KEY_VALUE, flag_of

_VERBS = "must|needs|cannot|is for"
_Renamed = type(tyro.conf.arg(name=""))


@dataclass(frozen=True)
class Field:
    """A field of a verb's options, or of a group of them.

    Args:
        option: its name on the command line, with underscores.
        owner: its group; empty: none.
        name: of the field in the dataclass.
        value_type: its type, without markers.
        markers: of tyro, for example for positional or hidden fields.
        default: of the dataclass.
    """

    option: str
    owner: str
    name: str
    value_type: object
    markers: frozenset[object]
    default: object


def list_fields(options: type, owner: str = "") -> Iterator[Field]:
    """All fields of a verb's options, in order, with those of nested groups."""
    hints = get_type_hints(options, include_extras=True)
    for item in fields(options):
        value_type, markers, named = hints[item.name], frozenset[object](), item.name
        if get_origin(value_type) is Annotated:
            value_type, *annotations = get_args(value_type)
            # a field whose flag has another name is a flag like any other
            markers = frozenset(note for note in annotations if _new_name(note) is None)
            named = next(filter(None, map(_new_name, annotations)), item.name)
        if isinstance(value_type, type) and is_dataclass(value_type):
            yield from list_fields(value_type, item.name)
        else:
            yield Field(named.replace("-", "_"), owner, item.name, value_type, markers, item.default)


def _new_name(annotation: object) -> str | None:
    """The name that an annotation gives to a flag, if it does."""
    return cast(str | None, vars(annotation)["name"]) if isinstance(annotation, _Renamed) else None


def in_flags(message: str, options: type, given: Sequence[str] = ()) -> str:
    """Replace the names of a verb's options by their flags.

    A word counts as an option's name in back quotes, before `=`, at the start before "must" and the like, or, if it has
    an underscore, anywhere. Names and paths that were typed stay as they are.

    Args:
        message: of a `UserError`.
        options: the verb's dataclass.
        given: the arguments that were typed.

    Example:
        >>> in_flags("lr must be above 0, got -1; leave out `seed` or skip_unreadable=True", Train)
        '--lr must be above 0, got -1; leave out --seed or --skip-unreadable'
    """
    typed = sorted(_typed(given), key=len, reverse=True)
    for number, word in enumerate(typed):
        message = message.replace(word, f"\0{number}\0")
    fields = [field for field in list_fields(options) if not field.markers]
    flags = {field.option: flag_of(field.option) for field in fields}
    # the name in Python of an option whose name there is another one
    flags |= {field.name: flag_of(field.option) for field in fields if not field.owner}
    # the options that are written KEY=VALUE have a flag of another name
    flags |= KEY_VALUE if "routing_option" in flags else {}
    for name, flag in flags.items():
        message = message.replace(f"`{name}`", flag)
        message = re.sub(rf"(?<![\w./\[-]){name}=True\b", flag, message)
        message = re.sub(rf"(?<![\w./\[-]){name}=(?=\S)", f"{flag} ", message)
        message = re.sub(rf"^{name}(?= ({_VERBS})\b)", flag, message)
        if "_" in name:
            message = re.sub(rf"(?<![\w./-]){name}(?![\w./])", flag, message)
    return re.sub("\0(\\d+)\0", lambda place: typed[int(place[1])], message)


def _typed(args: Sequence[str]) -> set[str]:
    """The names and paths among the arguments that look like options of Python."""
    words = (word.partition("=")[2] if word.startswith("-") else word for word in args)
    return {word.rstrip("/") for word in words if set(word) & set("=/_")} - {""}

"""Translate Python names of arguments in messages to flags of the command line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, get_args, get_origin, get_type_hints

from capsnet.runs.flags import KEY_VALUE, flag_of

_VERBS = "must|needs|cannot|is for"


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
        value_type, markers = hints[item.name], frozenset[object]()
        if get_origin(value_type) is Annotated:
            value_type, *annotations = get_args(value_type)
            # a group's `name` has another flag name, but is a flag like any other
            markers = frozenset(() if owner and item.name == "name" else annotations)
        if isinstance(value_type, type) and is_dataclass(value_type):
            yield from list_fields(value_type, item.name)
        else:
            option = owner if owner and item.name == "name" else item.name
            yield Field(option, owner, item.name, value_type, markers, item.default)


def in_flags(message: str, options: type) -> str:
    """Replace the names of a verb's options by their flags.

    A word counts as an option's name in back quotes, before `=`, at the start before "must" and the like, or, if it has
    an underscore, anywhere.

    Args:
        message: of a `UserError`.
        options: the verb's dataclass.

    Example:
        >>> in_flags("lr must be above 0, got -1; leave out `seed` or skip_unreadable=True", Train)
        '--lr must be above 0, got -1; leave out --seed or --skip-unreadable'
    """
    fields = [field.option for field in list_fields(options) if not field.markers]
    # the options that are written KEY=VALUE have a flag of another name
    for name in [*fields, *KEY_VALUE] if "routing_option" in fields else fields:
        flag = flag_of(name)
        message = message.replace(f"`{name}`", flag)
        message = re.sub(rf"(?<![\w.\[]){name}=True\b", flag, message)
        message = re.sub(rf"(?<![\w.\[]){name}=(?=\S)", f"{flag} ", message)
        message = re.sub(rf"^{name}(?= ({_VERBS})\b)", flag, message)
        if "_" in name:
            message = re.sub(rf"(?<![\w./-]){name}(?![\w./])", flag, message)
    return message

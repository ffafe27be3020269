"""Messages of the library, which call arguments by their Python names, in the words of the command line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, get_args, get_origin, get_type_hints

_VERBS = "must|needs|cannot|is for"


@dataclass(frozen=True)
class Field:
    """A field of a verb's options, or of a group of them.

    Args:
        option: its name on the command line, with underscores.
        owner: the group that it is in; empty: none.
        name: in the dataclass.
        kind: its type, without markers.
        markers: such as that it stands without a flag, or not on the command line at all.
        default: of the dataclass.
    """

    option: str
    owner: str
    name: str
    kind: object
    markers: frozenset[object]
    default: object


def list_fields(options: type, owner: str = "") -> Iterator[Field]:
    """All fields of a verb's options, in order; those of a group in its place."""
    hints = get_type_hints(options, include_extras=True)
    for item in fields(options):
        kind, markers = hints[item.name], frozenset[object]()
        if get_origin(kind) is Annotated:
            kind, *marked = get_args(kind)
            # a group's `name` is only called otherwise: it has a flag like any other
            markers = frozenset(() if owner and item.name == "name" else marked)
        if isinstance(kind, type) and is_dataclass(kind):
            yield from list_fields(kind, item.name)
        else:
            option = owner if owner and item.name == "name" else item.name
            yield Field(option, owner, item.name, kind, markers, item.default)


def in_flags(message: str, options: type) -> str:
    """Call each option of a verb by its flag.

    A name counts as that of an option in back quotes, before `=`, at the start before "must" and the like, or anywhere
    where it has an underscore.

    Args:
        message: of a `UserError`.
        options: the verb's dataclass.

    Example:
        >>> in_flags("lr must be above 0, got -1; leave out `seed` or skip_unreadable=True", Train)
        '--lr must be above 0, got -1; leave out --seed or --skip-unreadable'
    """
    for name in (field.option for field in list_fields(options) if not field.markers):
        flag = "--" + name.replace("_", "-")
        message = message.replace(f"`{name}`", flag)
        message = re.sub(rf"(?<![\w.\[]){name}=True\b", flag, message)
        message = re.sub(rf"(?<![\w.\[]){name}=(?=\S)", f"{flag} ", message)
        message = re.sub(rf"^{name}(?= ({_VERBS})\b)", flag, message)
        if "_" in name:
            message = re.sub(rf"(?<![\w./-]){name}(?![\w./])", flag, message)
    return message

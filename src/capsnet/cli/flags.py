"""Messages of the library, which call arguments by their Python names, in the words of the command line."""

import re
from dataclasses import fields
from typing import Annotated, get_origin, get_type_hints

_VERBS = "must|needs|cannot|is for"


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
    hints = get_type_hints(options, include_extras=True)
    # what is annotated stands on the command line without a flag, or not at all
    names = [item.name for item in fields(options) if get_origin(hints[item.name]) is not Annotated]
    for name in names:
        flag = "--" + name.replace("_", "-")
        message = message.replace(f"`{name}`", flag)
        message = re.sub(rf"(?<![\w.\[]){name}=True\b", flag, message)
        message = re.sub(rf"(?<![\w.\[]){name}=(?=\S)", f"{flag} ", message)
        message = re.sub(rf"^{name}(?= ({_VERBS})\b)", flag, message)
        if "_" in name:
            message = re.sub(rf"(?<![\w./-]){name}(?![\w./])", flag, message)
    return message

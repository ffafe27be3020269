"""Checks of a section of a configuration. Messages call a field by its option: `optimizer.lr` is `lr`."""

import types
from typing import Literal, Union, get_args, get_origin, get_type_hints

from capsnet.errors import UserError
from capsnet.runs.bounds import BOUNDS


def option_name(section: str, field: str) -> str:
    """The name that a field has among the options of all sections.

    Example:
        >>> option_name("model", "name"), option_name("model", "options"), option_name("model", "routing")
        ('model', 'model_options', 'routing')
    """
    if field == "name":
        return section
    return f"{section}_options" if field == "options" else field


def check_section(section: str, values: object) -> None:
    """Check every field by its type, and every number by its bounds.

    Args:
        section: its name in a configuration, such as `"model"`.
        values: an instance of its dataclass.

    Raises:
        UserError: a value that a field cannot have.
    """
    for field, hint in get_type_hints(type(values)).items():
        kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        name, value = option_name(section, field), getattr(values, field)
        choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
        if value is None and type(None) in kinds:
            continue
        if name in BOUNDS:
            BOUNDS[name].check(name, value, or_none=type(None) in kinds)
        elif bool in kinds and not isinstance(value, bool):
            raise UserError(f"{name} must be true or false, got {value!r}")
        elif choices and value not in choices:
            raise UserError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        elif str in kinds and not isinstance(value, str):
            raise UserError(f"{name} must be a text, got {value!r}")

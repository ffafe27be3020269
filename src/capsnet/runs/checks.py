"""Checks of a section of a configuration. Messages name fields by their options: `optimizer.lr` is `lr`."""

import types
from numbers import Real
from typing import Literal, Union, get_args, get_origin, get_type_hints

from capsnet.errors import UserError
from capsnet.runs.bounds import BOUNDS


def option_name(section: str, field: str) -> str:
    """The option of a field, unique over all sections.

    Example:
        >>> option_name("model", "name"), option_name("model", "options"), option_name("model", "routing")
        ('model', 'model_options', 'routing')
    """
    if field == "name":
        return section
    return f"{section}_options" if field == "options" else field


def _check_tuple(name: str, value: object, hints: tuple[object, ...]) -> None:
    """Check the type and the length of a tuple of numbers.

    Args:
        name: of the option.
        value: of the field.
        hints: the type of each number; `...` after the first stands for any count.
    """
    kind = "whole numbers" if hints[0] is int else "numbers"
    count, words = (None, "a list of") if hints[-1] is ... else (len(hints), "two" if len(hints) == 2 else len(hints))
    numbers = value if isinstance(value, tuple) else ()
    real = all(isinstance(number, Real) and not isinstance(number, bool) for number in numbers)
    if not isinstance(value, tuple) or not real or count not in (None, len(value)):
        raise UserError(f"{name} must be {words} {kind}, got {value!r}")


def check_section(section: str, values: object) -> None:
    """Check the type of every field and the bounds of every number.

    Args:
        section: name of the section, such as `"model"`.
        values: an instance of the section's dataclass.

    Raises:
        UserError: a field has an invalid value.
    """
    for field, hint in get_type_hints(type(values)).items():
        types_allowed = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        name, value = option_name(section, field), getattr(values, field)
        choices = [
            choice for allowed in types_allowed if get_origin(allowed) is Literal for choice in get_args(allowed)
        ]
        if value is None and type(None) in types_allowed:
            continue
        for allowed in types_allowed:
            if get_origin(allowed) is tuple:
                _check_tuple(name, value, get_args(allowed))
        if name in BOUNDS:
            BOUNDS[name].check(name, value, or_none=type(None) in types_allowed)
        elif bool in types_allowed and not isinstance(value, bool):
            raise UserError(f"{name} must be true or false, got {value!r}")
        elif choices and value not in choices:
            raise UserError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        elif str in types_allowed and not isinstance(value, str):
            raise UserError(f"{name} must be a text, got {value!r}")

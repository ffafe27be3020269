"""Arguments that were renamed: the old names still work, with a DeprecationWarning, for one minor release.

Example:
    >>> @renamed(side="size")
    ... class Square:
    ...     def __init__(self, size): ...
    >>> Square(side=3)  # warns: side is now called size
"""

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from capsnet.errors import UserError

T = TypeVar("T")
Convert = Callable[[Any, Mapping[str, Any]], object]

_ATTRIBUTE = "_renamed_arguments"


def renamed(convert: Mapping[str, Convert] | None = None, **names: str) -> Callable[[type[T]], type[T]]:
    """Let the constructor of a class take arguments by their old names, too.

    Args:
        convert: for an argument whose values changed: the new value from the old one and all other arguments by name.
        names: the new name of each old one.
    """

    def decorate(cls: type[T]) -> type[T]:
        build = cls.__init__
        setattr(cls, _ATTRIBUTE, (names, convert or {}))

        @functools.wraps(build)
        def construct(self: T, *arguments: Any, **options: Any) -> None:
            build(self, *arguments, **current_names(cls, options))

        setattr(cls, "__init__", construct)  # noqa: B010
        return cls

    return decorate


def current_names(build: object, options: Mapping[str, object], *, warn: bool = True) -> dict[str, object]:
    """Arguments of a class under their present names.

    Args:
        build: the class; for anything else, or a class without renamed arguments, the names are unchanged.
        options: arguments by name.
        warn: False for names from a file, which the user need not change.

    Raises:
        UserError: an argument is given under both names.
    """
    names, convert = vars(build).get(_ATTRIBUTE, ({}, {})) if isinstance(build, type) else ({}, {})
    current: dict[str, object] = {}
    for name, value in options.items():
        new = names.get(name, name)
        if new != name:
            if new in options:
                raise UserError(f"{name} is the old name of {new}: give {new} only")
            if warn:
                warnings.warn(f"{name} is now called {new}; the old name will be removed", DeprecationWarning, 3)
            value = convert[name](value, options) if name in convert else value
        current[new] = value
    return current

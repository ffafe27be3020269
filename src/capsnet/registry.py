"""One small registry: names of routings, models, data sets, recipes and figures."""

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from capsnet.errors import UserError

T = TypeVar("T")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `" did you mean 'x'?"` for the nearest known name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" did you mean {close[0]!r}?" if close else ""


class Registry(Generic[T]):
    """Names to values of one kind.

    Example:
        >>> shapes = Registry[int]("shape")
        >>> shapes.add("triangle", 3)
        3
        >>> shapes.get("triangle")
        3
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._values: dict[str, T] = {}

    def add(self, name: str, value: T) -> T:
        """Register `value`; a second value under one name is a mistake of the author's."""
        assert name not in self._values, f"{self.kind} {name!r} is registered twice"
        self._values[name] = value
        return value

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of `add`."""
        return lambda value: self.add(name, value)

    def get(self, name: str) -> T:
        """Return the value registered under `name`.

        Raises:
            UserError: unknown name; the nearest and all known names are in the message.
        """
        if name not in self._values:
            hint = did_you_mean(name, self._values)
            raise UserError(f"unknown {self.kind} {name!r};{hint} Known: {', '.join(self.names())}")
        return self._values[name]

    def names(self, pattern: str = "*") -> list[str]:
        """Sorted names that match a shell pattern such as `"capsnet*"`."""
        return sorted(fnmatch.filter(self._values, pattern))

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

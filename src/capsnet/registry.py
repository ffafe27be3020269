"""Registries: names of routings, models, data sets, recipes, figures and more.

Register with `add`, as a call or as a decorator. A folder of the package imports its modules with `import_modules`;
other packages register through entry points of a group such as `capsnet.routings`.
"""

import difflib
import fnmatch
import importlib
import pkgutil
import sys
import types
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar, overload

from capsnet.errors import UserError

if TYPE_CHECKING:
    from importlib import metadata

T = TypeVar("T")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `" did you mean 'x'?"` for the most similar known name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" did you mean {close[0]!r}?" if close else ""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'? Known: x, y"`, or `"; known: x, y"` if no name is similar."""
    names = list(known)
    hint = did_you_mean(name, names)
    return f";{hint} Known: {', '.join(names)}" if hint else f"; known: {', '.join(names) or 'none'}"


def import_modules(package: str, *, leave: Collection[str] = ()) -> None:
    """Import the modules of a package in alphabetical order, so that they register their contents.

    Modules whose names begin with an underscore are skipped.

    Args:
        package: name of a package that is already imported or being imported.
        leave: names of modules to skip: they register nothing and are imported where they are used.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(sys.modules[package].__path__))
    for name in names:
        if not name.startswith("_") and name not in leave:
            importlib.import_module(f"{package}.{name}")


def _entry_points(group: str) -> "metadata.EntryPoints":
    # imported late: it takes 0.02 s, and short commands read no registry
    from importlib import metadata

    return metadata.entry_points(group=group)


class Registry(Generic[T]):
    """A mapping from names to values of one type.

    Args:
        noun: what a value is called in messages, such as `model`.
        group: entry-point group of other packages; each entry point's name is the name of its value. They are loaded
            for the first unknown name or when the names are listed. None: no entry points.
        underscores: names had underscores in earlier versions: accept them in place of hyphens, with a warning.
        module: imported together with the entry points, to fill the registry. None: the registry is filled by the
            module that creates it, or by one that imports that.
        elsewhere: the message for an unknown name that stands in another registry; None for all other names.

    Example:
        >>> shapes = Registry[int]("shape")
        >>> shapes.add("triangle", 3)
        3
        >>> shapes.get("triangle")
        3
    """

    def __init__(
        self,
        noun: str,
        group: str | None = None,
        *,
        underscores: bool = False,
        module: str | None = None,
        elsewhere: Callable[[str], str | None] = lambda name: None,
    ) -> None:
        self.noun, self.group, self.underscores, self.module = noun, group, underscores, module
        self._elsewhere = elsewhere
        self._values: dict[str, T] = {}
        self._failures: list[str] = []
        self._loaded = False

    @overload
    def add(self, name: str, value: T) -> T: ...

    @overload
    def add(self, name: str) -> Callable[[T], T]: ...

    def add(self, name: str, value: T | None = None) -> T | Callable[[T], T]:
        """Register `value`; without one, return a decorator that registers a class or function.

        A second value under one name is a programming error.
        """
        if value is None:
            return lambda decorated: self.add(name, decorated)
        assert name not in self._values, f"{self.noun} {name!r} is registered twice"
        self._values[name] = value
        return value

    def get(self, name: str) -> T:
        """Return the value registered under `name`.

        Raises:
            UserError: unknown name; the message names the most similar and all known names.
        """
        return self._values[self.resolve(name)]

    def resolve(self, name: str, *, warn: bool = True) -> str:
        """The name under which a value is registered: `name`, or the same with hyphens in place of underscores.

        Args:
            name: from the user or from a file.
            warn: False for names from files, which the user need not change.

        Raises:
            UserError: unknown name; the message names the most similar and all known names.
        """
        if name not in self:
            if (message := self._elsewhere(name)) is not None:
                raise UserError(message)
            failures = "".join(f"; {failure}" for failure in self._failures)
            raise UserError(f"unknown {self.noun} {name!r}{suggest(name, self.names())}{failures}")
        if name in self._values:
            return name
        current = name.replace("_", "-")
        if warn:
            warnings.warn(f"the {self.noun} {name!r} is now called {current!r}", FutureWarning, stacklevel=3)
        return current

    def names(self, pattern: str = "*") -> list[str]:
        """Sorted names that match a shell pattern such as `"capsnet*"`."""
        self._load_entry_points()
        return sorted(fnmatch.filter(self._values, pattern))

    def __contains__(self, name: object) -> bool:
        if name not in self._values:
            self._load_entry_points()
        if self.underscores and isinstance(name, str):
            return name in self._values or name.replace("_", "-") in self._values
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _load_entry_points(self) -> None:
        """Register the values of other packages; skip those that fail to load, with a warning."""
        if self._loaded:
            return
        self._loaded = True
        if self.module is not None:
            importlib.import_module(self.module)
        for point in _entry_points(self.group) if self.group is not None else ():
            package = point.dist.name if point.dist is not None else point.module
            try:
                value = point.load()
                # a module registers its contents itself, and so may a class
                if not isinstance(value, types.ModuleType) and self._values.setdefault(point.name, value) is not value:
                    raise ValueError(f"the name {point.name!r} is taken")
            except Exception as error:  # another package's code may raise anything
                failure = f"{self.noun} {point.name!r} of the package {package} cannot be loaded: {error!r}"
                self._failures.append(failure)
                warnings.warn(failure, stacklevel=3)

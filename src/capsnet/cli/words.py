"""All words of the command line, for completion by a shell: verbs, their options, and what may stand behind each."""

import ast
import dataclasses
import importlib
import inspect
import textwrap
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Union, get_args, get_origin, get_type_hints

import tyro

from capsnet.analysis import ANALYSES
from capsnet.bench import BENCHES
from capsnet.cli import VERBS
from capsnet.cli.catalogue import KINDS, list_entries
from capsnet.cli.flags import list_fields

Paths = Literal["", "files", "folders", "runs"]


@dataclass(frozen=True)
class Slot:
    """What may stand at one place.

    Args:
        names: words.
        paths: what kind of path may stand there too; those of runs may be folders or files.
    """

    names: tuple[str, ...] = ()
    paths: Paths = ""

    def __or__(self, other: "Slot") -> "Slot":
        # runs come with folders and files, files with folders
        strength = ("", "folders", "files", "runs")
        return Slot(tuple(dict.fromkeys(self.names + other.names)), max(self.paths, other.paths, key=strength.index))


@dataclass(frozen=True)
class Flag:
    """An option.

    Args:
        name: such as `--data`.
        summary: the first sentence about it.
        value: what stands behind it; None: nothing.
        many: several values may stand there.
    """

    name: str
    summary: str
    value: Slot | None
    many: bool = False


@dataclass(frozen=True)
class Verb:
    """A command with its options and arguments."""

    name: str
    summary: str
    flags: tuple[Flag, ...]
    arguments: Slot


def _listed(*kinds: str) -> Callable[[], tuple[str, ...]]:
    return lambda: tuple(name for kind in kinds for name in list_entries(kind))


def _list_figures() -> tuple[str, ...]:
    from capsnet.figures import FIGURES

    return tuple(FIGURES)


def _list_grid_options() -> tuple[str, ...]:
    from capsnet.cli.sweep import list_grid_options

    return tuple(f"{name.replace('_', '-')}=" for name in list_grid_options())


_RUN = Slot(paths="runs")
_SLOTS: Mapping[str, Callable[[], Slot]] = {
    "train.recipe": lambda: Slot(_listed("recipes")()),
    "train.data": lambda: Slot(_listed("data")(), "folders"),
    "train.model": lambda: Slot(_listed("models")()),
    "train.routing": lambda: Slot(_listed("routings")()),
    "train.resume": lambda: _RUN,
    "evaluate.models": lambda: _RUN,
    "evaluate.data": lambda: Slot(_listed("data")(), "folders"),
    "predict.model": lambda: _RUN,
    "analyse.run": lambda: _RUN,
    "analyse.only": lambda: Slot(tuple(ANALYSES)),
    "figures.run": lambda: _RUN,
    "figures.names": lambda: Slot(_list_figures()),
    "report.run": lambda: _RUN,
    "sweep.recipe": lambda: Slot(_listed("recipes")()),
    "sweep.grid": lambda: Slot(_list_grid_options()),
    "sweep.data": lambda: Slot(_listed("data")(), "folders"),
    "sweep.model": lambda: Slot(_listed("models")()),
    "sweep.routing": lambda: Slot(_listed("routings")()),
    "reproduce.study": lambda: Slot(_listed("studies")()),
    "list.kind": lambda: Slot((*KINDS, "all")),
    "show.name": lambda: Slot(_listed(*KINDS)(), "runs"),
    "export.model": lambda: _RUN,
    "import-keras.data": lambda: Slot(_listed("data")(), "folders"),
    "bench.names": lambda: Slot(tuple(BENCHES)),
    "data.name": lambda: Slot(_listed("data")(), "folders"),
}
"""Where names stand, by verb and field; other places are found from their types."""
_CALLED: Mapping[str, str] = {"figures.class_names": "class"}
"""Flags whose word Python keeps for itself."""


def read_verbs() -> list[Verb]:
    """All verbs, in order, from the dataclasses that read their options."""
    return [_read(name, summary) for name, summary in VERBS.items()]


def _read(name: str, summary: str) -> Verb:
    options = find_options(name)
    hints = get_type_hints(options)
    flags, arguments = [Flag("--help", "show help", None)], Slot()
    for field in list_fields(options):
        if field.markers >= _SUPPRESS:
            continue
        value, many = _value(f"{name}.{field.option}", _some(field.kind))
        if field.markers >= _POSITIONAL:
            arguments |= value or Slot()
        else:
            lines = _field_docs(hints[field.owner] if field.owner else options)
            flag = _CALLED.get(f"{name}.{field.option}", field.option).replace("_", "-")
            # what is on by default is an option to turn it off
            flag = f"no-{flag}" if field.default is True else flag
            flags.append(Flag(f"--{flag}", lines.get(field.name, ""), value, many))
    return Verb(name, summary, tuple(flags), arguments)


def find_options(verb: str) -> type:
    """The dataclass that reads a verb's options; its name is the verb's."""
    module = importlib.import_module(f"capsnet.cli.{verb.replace('-', '_')}")
    return next(
        value
        for name, value in vars(module).items()
        if name.lower() == verb.replace("-", "") and dataclasses.is_dataclass(value) and isinstance(value, type)
    )


_POSITIONAL = frozenset(get_args(tyro.conf.Positional[int])[1:])
_SUPPRESS = frozenset(get_args(tyro.conf.Suppress[int])[1:])


def _some(hint: object) -> object:
    """A type without None."""
    if get_origin(hint) in (Union, types.UnionType):
        some = [part for part in get_args(hint) if part is not type(None)]
        return some[0] if len(some) == 1 else object
    return hint


def _value(place: str, kind: object) -> tuple[Slot | None, bool]:
    many = get_origin(kind) is tuple
    if many:
        kind = get_args(kind)[0]
    if place in _SLOTS:
        return _SLOTS[place](), many
    if kind is bool:
        return None, False
    if get_origin(kind) is Literal:
        return Slot(get_args(kind)), many
    folder = place.endswith(("_dir", ".out"))
    if folder or kind is Path:
        return Slot(paths="folders" if folder else "files"), many
    return Slot(), many


@cache
def _field_docs(options: type) -> dict[str, str]:
    """The first sentence of each field's docstring, those of base classes included."""
    found: dict[str, str] = {}
    for part in reversed(options.__mro__[:-1]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(part))).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                line = " ".join(str(text.value.value).split())
                found[ast.unparse(field.target)] = line.split(". ")[0].split("; ")[0].rstrip(".")
    return found

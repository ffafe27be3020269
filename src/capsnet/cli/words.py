"""All words of the command line, for shell completion: verbs, their options and possible values."""

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
from capsnet.cli.parse import PathTuple

Paths = Literal["", "files", "folders", "runs"]


@dataclass(frozen=True)
class Slot:
    """The possible values of an option or argument.

    Args:
        names: words.
        paths: type of paths that are possible, too; `runs` are folders or files.
    """

    names: tuple[str, ...] = ()
    paths: Paths = ""

    def __or__(self, other: "Slot") -> "Slot":
        # runs include folders and files, files include folders
        strength = ("", "folders", "files", "runs")
        return Slot(tuple(dict.fromkeys(self.names + other.names)), max(self.paths, other.paths, key=strength.index))


@dataclass(frozen=True)
class Flag:
    """An option.

    Args:
        name: such as `--data`.
        summary: first sentence of its help.
        value: its possible values; None: it takes no value.
        many: it takes several values.
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
    "train.recipe": lambda: Slot(_listed("recipes", "segmenters", "sequence-models")()),
    "train.data": lambda: Slot(_listed("data")(), "files"),
    "train.model": lambda: Slot(_listed("models", "segmenters", "sequence-models")()),
    "train.routing": lambda: Slot(_listed("routings")()),
    "train.resume": lambda: _RUN,
    "train.start_from": lambda: Slot(_listed("pretrained")(), "runs"),
    "evaluate.models": lambda: Slot(_listed("pretrained")(), "runs"),
    "evaluate.data": lambda: Slot(_listed("data")(), "files"),
    "predict.model": lambda: Slot(_listed("pretrained")(), "runs"),
    "analyse.run": lambda: _RUN,
    "analyse.only": lambda: Slot(tuple(ANALYSES)),
    "figures.run": lambda: _RUN,
    "figures.names": lambda: Slot(_list_figures()),
    "report.run": lambda: _RUN,
    "sweep.recipe": lambda: Slot(_listed("recipes")()),
    "sweep.grid": lambda: Slot(_list_grid_options()),
    "sweep.data": lambda: Slot(_listed("data")(), "files"),
    "sweep.model": lambda: Slot(_listed("models")()),
    "sweep.routing": lambda: Slot(_listed("routings")()),
    "sweep.start_from": lambda: Slot(_listed("pretrained")(), "runs"),
    "reproduce.study": lambda: Slot(_listed("studies")()),
    "list.kind": lambda: Slot((*KINDS, "all")),
    "show.name": lambda: Slot(_listed(*KINDS)(), "runs"),
    "show.against": lambda: _RUN,
    "export.model": lambda: Slot(_listed("pretrained")(), "runs"),
    "import-keras.data": lambda: Slot(_listed("data")(), "files"),
    "bench.names": lambda: Slot(tuple(BENCHES)),
    "demo.models": lambda: Slot(_listed("pretrained")(), "runs"),
    "data.name": lambda: Slot(_listed("data")(), "files"),
}
"""Slots with names, by verb and field; other slots follow from types."""


def read_verbs() -> list[Verb]:
    """All verbs, in order, from the dataclasses of their options."""
    return [_read(name, summary) for name, summary in VERBS.items()]


def _read(name: str, summary: str) -> Verb:
    options = find_options(name)
    hints = get_type_hints(options)
    flags, arguments = [Flag("--help", "show help", None)], Slot()
    for field in list_fields(options):
        if field.markers >= _SUPPRESS:
            continue
        value, many = _value(f"{name}.{field.option}", _without_none(field.value_type))
        if field.markers >= _POSITIONAL:
            arguments |= value or Slot()
        else:
            lines = _field_docs(hints[field.owner] if field.owner else options)
            flag = field.option.replace("_", "-")
            # a switch that is on by default has only the form --no-...
            flag = f"no-{flag}" if field.default is True else flag
            flags.append(Flag(f"--{flag}", lines.get(field.name, ""), value, many))
    return Verb(name, summary, tuple(flags), arguments)


def find_options(verb: str) -> type:
    """The dataclass of a verb's options, which is named after the verb."""
    module = importlib.import_module(f"capsnet.cli.{verb.replace('-', '_')}")
    return next(
        value
        for name, value in vars(module).items()
        if name.lower() == verb.replace("-", "") and dataclasses.is_dataclass(value) and isinstance(value, type)
    )


_POSITIONAL = frozenset(get_args(tyro.conf.Positional[int])[1:])
_SUPPRESS = frozenset(get_args(tyro.conf.Suppress[int])[1:])


def _without_none(hint: object) -> object:
    """A type without None."""
    if get_origin(hint) in (Union, types.UnionType):
        types_left = [item for item in get_args(hint) if item is not type(None)]
        return types_left[0] if len(types_left) == 1 else object
    return hint


def _value(name: str, value_type: object) -> tuple[Slot | None, bool]:
    many = get_origin(value_type) is tuple or value_type is PathTuple
    if many:
        value_type = Path if value_type is PathTuple else get_args(value_type)[0]
    if name in _SLOTS:
        return _SLOTS[name](), many
    if value_type is bool:
        return None, False
    if get_origin(value_type) is Literal:
        return Slot(get_args(value_type)), many
    is_folder = name.endswith(("_dir", ".out"))
    if is_folder or value_type is Path:
        return Slot(paths="folders" if is_folder else "files"), many
    return Slot(), many


@cache
def _field_docs(options: type) -> dict[str, str]:
    """The first sentence of each field's docstring, including base classes."""
    summaries: dict[str, str] = {}
    for base in reversed(options.__mro__[:-1]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                line = " ".join(str(text.value.value).split())
                summaries[ast.unparse(field.target)] = line.split(". ")[0].split("; ")[0].rstrip(".")
    return summaries

"""`capsnet sweep`."""

import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from capsnet.cli.console import print_json, print_markdown
from capsnet.cli.parse import parse
from capsnet.cli.reproduce import draw_table
from capsnet.cli.scan import scan
from capsnet.cli.sections import ConfigFlags, ExecutionFlags, flags_of, given_options
from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.registry import suggest
from capsnet.runs.formats import off_for_zero
from capsnet.runs.options import are_own_images, own_recipe
from capsnet.runs.sections import OPTIONS, SECTIONS
from capsnet.studies.grid import VARIED
from capsnet.studies.sweep import sweep_recipe
from capsnet.studies.sweep_table import sweep_to_markdown


@dataclass(frozen=True)
class SweepExecutionFlags(ExecutionFlags):
    """How the runs are computed."""

    # each row has the seeds 0 to --seeds - 1
    seed: Annotated[int, tyro.conf.Suppress] = 0


@dataclass(frozen=True)
class Sweep(ConfigFlags):
    """Train every combination of some options with several seeds, and rank the combinations on validation images.

    Writes table.md, table.json and figure.png. Repeat the command to resume, or with more values or seeds to extend.
    Options of capsnet train hold for all runs.

    Examples:
      capsnet sweep quickstart --grid lr=1e-3,3e-3 iterations=1,3 --seeds 3 --epochs 2
      capsnet sweep sabour2017-mnist --grid routing=dynamic,em recon-weight=0,0.0005 --jobs 4 --out sweeps/routing
    """

    run: SweepExecutionFlags = SweepExecutionFlags()
    grid: tuple[str, ...] = ()
    """Options to vary, with their values: OPTION=VALUE,VALUE ..., with the names of the options below."""
    seeds: int = 5
    """Runs of each combination."""
    out: Path | None = None
    """The sweep's folder; default: sweeps/RECIPE."""
    jobs: int = 1
    """Runs in parallel: one per GPU, or with the CPU cores divided among them."""
    ray: str | None = None
    """Run on a Ray cluster (extra: ray): its address; or auto: the running one, without one on this machine."""
    small: bool = False
    """Delete the weights of finished runs; the table needs only their metrics."""
    json: bool = False
    """Print table.json on standard output, and everything else on standard error."""


def main(args: list[str]) -> None:
    """Train, draw, and print the table."""
    given = scan(args, Sweep)
    named = next((args[position] for position in given.positions), None)
    data = given.last("data")
    recipe = named or "quickstart"
    if named is None and are_own_images(data) and not {"--help", "-h"} & {*args}:
        varied = (word.partition("=")[0].replace("-", "_") for word in given.values.get("grid", ()))
        recipe = own_recipe(data, [*given_options(args), *varied])
    options = parse(Sweep, args, flags_of(Sweep, RECIPES.get(recipe).config))
    config = options.config().options()
    folder = options.out or Path("sweeps") / recipe
    table = sweep_recipe(
        recipe,
        _read_grid(options.grid),
        {name: config[name] for name in given_options(args)},
        seeds=options.seeds,
        out=folder,
        jobs=options.jobs,
        ray=options.ray,
        small=options.small,
    )
    draw_table(table, folder, "points")
    if options.json:
        print_json({**table})
    else:
        print_markdown(sweep_to_markdown(table))
        print(f"written: {folder / 'table.md'}, table.json, figure.png")


def list_grid_options() -> list[str]:
    """Options that `--grid` can vary: those of one value."""
    return [name for name in VARIED if _value_types(name)]


def _read_grid(words: Sequence[str]) -> dict[str, list[object]]:
    """The values of each option.

    Raises:
        UserError: a word that is not OPTION=VALUE,VALUE, an unknown or repeated option, or a value of another type.
    """
    grid: dict[str, list[object]] = {}
    for word in words:
        key, sign, text = word.partition("=")
        name = key.removeprefix("--").replace("-", "_")
        if not sign or not name:
            raise UserError(f"--grid must be OPTION=VALUE,VALUE, got {word!r}")
        if name not in OPTIONS or name == "recipe":
            shown = [option.replace("_", "-") for option in list_grid_options()]
            raise UserError(f"--grid: unknown option {key!r}{suggest(key, shown)}")
        if name in grid:
            raise UserError(f"--grid names {key} twice; give all of its values at once")
        if name in VARIED and not _value_types(name):
            raise UserError(f"--grid cannot vary {key}, which takes several values; use capsnet.sweep in Python")
        grid[name] = [_read_value(name, value) for value in text.split(",")] if text else []
    return grid


def _read_value(name: str, text: str) -> object:
    """A value of an option; a 0 may stand for None, as in the option's flag.

    Raises:
        UserError: the option has no such value.
    """
    types_of_option = _value_types(name)
    for kind in types_of_option:
        value = _convert(kind, text)
        if value is not None or (kind is type(None) and text == "None"):
            return off_for_zero({name: value})[name]
    words = " or ".join(_WORDS.get(kind) or ", ".join(map(str, get_args(kind))) for kind in types_of_option)
    raise UserError(f"--grid: {name.replace('_', '-')} must be {words}, got {text!r}")


_WORDS: dict[object, str] = {
    type(None): "None",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a name",
}


def _value_types(name: str) -> list[object]:
    """The types of an option's value, None and numbers first; none for an option that takes several values."""
    place = OPTIONS[name]
    hint: object = get_type_hints(SECTIONS[place.section])[place.field]
    kinds = list(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else [hint]
    order: list[object] = [type(None), bool, int, float]
    known = [kind for kind in order if kind in kinds]
    known += [kind for kind in kinds if kind is str or get_origin(kind) is Literal]
    return known if len(known) == len(kinds) else []


def _convert(kind: object, text: str) -> object:
    """A text as a value of a type; None: it is none."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower())
    if kind is int or kind is float:
        try:
            return int(text) if kind is int else float(text)
        except ValueError:
            return None
    if get_origin(kind) is Literal:
        return text if text in get_args(kind) else None
    return text if kind is str and text else None

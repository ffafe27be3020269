"""A sweep: every combination of values of some options, trained with several seeds and ranked on validation."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, cast

from capsnet.data import locate_data
from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.runs.files import write_json
from capsnet.runs.flags import flag_words, show_value
from capsnet.runs.given import note_length
from capsnet.runs.options import are_own_images, own_recipe
from capsnet.runs.sections import Execution
from capsnet.runs.typed import read_typed
from capsnet.studies.grid import Grid, check_grid, make_study
from capsnet.studies.runner import (
    SWEEP_FILE,
    alone,
    check_any_finished,
    check_tasks,
    refuse_failures,
    tidy,
    train_missing,
    write_table,
)
from capsnet.studies.study import Changes, plan
from capsnet.studies.sweep_table import make_sweep_table, sweep_to_markdown
from capsnet.studies.table import Table

_FORMAT_VERSION = 1


class SweepRecord(TypedDict):
    """The content of `sweep.json`: the recipe and the grid of a sweep's folder."""

    format_version: int
    recipe: str
    grid: dict[str, list[object]]


def sweep(
    recipe: str = "quickstart",
    grid: Grid | None = None,
    *,
    seeds: int = 5,
    out: Path | str | None = None,
    jobs: int = 1,
    ray: str | None = None,
    small: bool = False,
    **options: object,
) -> Table:
    """Train a recipe with every combination of values, and rank the combinations on validation images.

    The same call resumes a sweep that was stopped. With a larger grid or more seeds, it trains what the folder lacks.

    Args:
        recipe: name of the recipe; for your own images, `"quickstart"` means what it means to `capsnet.train`.
        grid: values of each option to vary: options of `capsnet.train` by name.
        seeds: runs of each combination, with seeds 0 to `seeds - 1`.
        out: the sweep's folder; None: `sweeps/RECIPE`.
        jobs: number of concurrent runs, each in its own process, with its own GPU or its share of the cores.
        ray: address of a Ray cluster, or `"auto"`: the running cluster, or local processes if there is none.
        small: delete the weights of finished runs.
        options: options of all runs: those of `capsnet.train` by name.

    Returns:
        The table, with rows ordered by validation error; also written to `table.json` and `table.md` in the folder.

    Raises:
        UserError: a grid, option or folder that cannot be used, or runs that failed; finished runs are kept.
        KeyboardInterrupt: stopped by the user; the same call resumes.

    Example:
        >>> table = capsnet.sweep("quickstart", grid={"lr": [1e-3, 3e-3], "iterations": [1, 3]}, seeds=3)
        >>> table["sweep"]["chosen"]
        ['lr=0.003-iterations=3']
    """
    data = _resolve(options).get("data")
    if recipe == "quickstart" and are_own_images(data):
        recipe = own_recipe(data, {*(grid or {}), *options})
    return sweep_recipe(recipe, grid or {}, options, seeds=seeds, out=out, jobs=jobs, ray=ray, small=small)


def sweep_recipe(
    recipe: str,
    grid: Grid,
    options: Changes,
    *,
    seeds: int,
    out: Path | str | None = None,
    jobs: int = 1,
    ray: str | None = None,
    small: bool = False,
) -> Table:
    """`sweep` of this very recipe, whatever the data: the command line knows whether a person named it.

    Args:
        recipe: name of the recipe.
        grid: values of each option to vary.
        options: options of all runs.
        seeds: runs of each combination.
        out: see `sweep`, as of the others.
        jobs: number of concurrent runs.
        ray: address of a Ray cluster.
        small: delete the weights of finished runs.

    Raises:
        UserError: as `sweep`.
    """
    if seeds < 1:
        raise UserError(f"seeds must be at least 1, got {seeds}")
    given, values = _resolve(options), check_grid(grid, options)
    study = replace(make_study(recipe, values, given, seeds), given=frozenset({*values, *given}))
    folder = Path(out) if out is not None else Path("sweeps") / recipe
    _check_folder(folder, recipe, values)
    execution = cast(Execution, given.get("execution", RECIPES.get(recipe).config.run.execution))
    data_dir = given.get("data_dir")
    tasks = plan(study, "sweep", seeds, folder, None, None if data_dir is None else str(data_dir), execution)
    check_tasks(tasks, jobs)
    note_length(given)
    with alone(folder):
        write_json(folder / SWEEP_FILE, {"format_version": _FORMAT_VERSION, "recipe": recipe, "grid": values})
    failures = train_missing(tasks, folder, jobs, ray)
    tidy(tasks, small)
    check_any_finished(tasks, folder, failures)
    table = make_sweep_table(study, recipe, values, tasks, _command(recipe, values, seeds, given))
    write_table(folder, table, sweep_to_markdown(table))
    refuse_failures(failures, len(tasks))
    return table


def _resolve(options: Changes) -> dict[str, object]:
    """The options with paths as strings and an absolute path of an image folder, as runs record them."""
    values = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    data = values.get("data")
    return {**values, "data": locate_data(data)} if isinstance(data, str) else values


def _check_folder(folder: Path, recipe: str, grid: Grid) -> None:
    """Refuse a folder that holds anything but a part of this sweep.

    Raises:
        UserError: the folder holds another sweep or other files.
    """
    path = folder / SWEEP_FILE
    if not path.is_file():
        if (folder / "runs").exists() or (folder / "config.json").exists():
            raise UserError(f"{folder} holds other runs, it has no {SWEEP_FILE}; give another `out`")
        return
    if not (folder / "runs").exists() and not (folder / "table.json").exists():
        # nothing was trained: any sweep may begin here
        return
    record = read_typed(path, SweepRecord)
    if record["format_version"] > _FORMAT_VERSION:
        raise UserError(f"{path} is from a newer capsnet (format {record['format_version']}); upgrade capsnet")
    before = ", ".join(f"{name} ({', '.join(map(show_value, values))})" for name, values in record["grid"].items())
    started = f"{folder} holds the sweep of {record['recipe']} over {before}"
    if record["recipe"] != recipe:
        raise UserError(f"{started}, this one is of {recipe}; give another `out`")
    if record["grid"].keys() != grid.keys():
        raise UserError(f"{started}, this one varies {', '.join(grid)}; give another `out`")
    for name, values in record["grid"].items():
        now = [_as_json(value) for value in grid[name]]
        missing = [show_value(value) for value in values if _as_json(value) not in now]
        if missing:
            raise UserError(f"{started}, this grid lacks {name} {', '.join(missing)}: add it, or give another `out`")


def _as_json(value: object) -> object:
    """A value as read back from `sweep.json`: tuples become lists."""
    return json.loads(json.dumps(value))


def _command(recipe: str, grid: Grid, seeds: int, options: Changes) -> str:
    """The command that makes the table; a Python call if a value has no form on the command line."""
    if any(
        isinstance(value, Mapping | list | tuple) or "," in str(value) for values in grid.values() for value in values
    ):
        arguments = "".join(f", {name}={value!r}" for name, value in options.items())
        return f"capsnet.sweep({recipe!r}, grid={dict(grid)!r}, seeds={seeds}{arguments})"
    words = ["capsnet", "sweep", recipe, "--grid"]
    words += [f"{name.replace('_', '-')}={','.join(map(show_value, values))}" for name, values in grid.items()]
    words += ["--seeds", str(seeds)]
    for name, value in options.items():
        words += flag_words(name, value)
    return shlex.join(words)

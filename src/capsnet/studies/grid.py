"""A grid of options as a study: one row for each combination of values."""

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence

from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.runs.config import check_names
from capsnet.runs.flags import show_value
from capsnet.runs.sections import OPTIONS
from capsnet.studies.study import Budget, Changes, Row, Study, configure

Grid = Mapping[str, Sequence[object]]

_PLACE = "it does not change what is trained; give it once, for all runs"
_IMAGES = "rows must be validated and tested on the same images; give it once, for all runs"
_REFUSED: Mapping[str, str] = {
    "seed": "give `seeds`, the number of runs of each row",
    **dict.fromkeys(("device", "execution", "fixed_order", "data_dir"), _PLACE),
    **dict.fromkeys(
        ("data", "validation", "validation_shift", "test_limit", "skip_unreadable", "pairs_per_digit"), _IMAGES
    ),
}
"""Options that a grid cannot vary, and why."""

VARIED = tuple(name for name in OPTIONS if name not in _REFUSED and name != "recipe")
"""Options that a grid can vary."""


def check_grid(grid: Grid, options: Changes) -> dict[str, list[object]]:
    """Check a grid, and return it with lists as values.

    Args:
        grid: values of each option to vary.
        options: options of all runs.

    Raises:
        UserError: no options or values, an unknown option, an option that cannot be varied or is also set for all runs,
            or the same value twice.
    """
    if not grid:
        raise UserError("grid must name at least one option and its values, got none")
    check_names(grid)
    check_names(options)
    if "seed" in options:
        raise UserError(f"seed cannot be given for a sweep: {_REFUSED['seed']}")
    for name, values in grid.items():
        if name in _REFUSED:
            raise UserError(f"grid cannot vary {name}: {_REFUSED[name]}")
        if name in options:
            raise UserError(f"{name} is given twice, in the grid and for all runs; leave one of them out")
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise UserError(f"grid must give a list of values for {name}, got {values!r}")
        if not values:
            raise UserError(f"grid must give at least one value for {name}, got none")
        for position, value in enumerate(values):
            if value in values[:position]:
                raise UserError(f"grid must give each value of {name} once, got {show_value(value)} twice")
    return {name: list(values) for name, values in grid.items()}


def make_study(recipe: str, grid: Grid, options: Changes, seeds: int) -> Study:
    """Make a study with a row for each combination of values, and one budget, `"sweep"`.

    Args:
        recipe: name of the recipe.
        grid: result of `check_grid`.
        options: options of all runs.
        seeds: number of runs of each row.

    Raises:
        UserError: an unknown recipe, a value out of range, a combination that the model does not support, two
            combinations that give the same run, or no validation images.
    """
    RECIPES.get(recipe)
    rows = []
    for values in itertools.product(*grid.values()):
        changes = dict(zip(grid, values, strict=True))
        label = ", ".join(f"{name} = {show_value(value)}" for name, value in changes.items())
        rows.append(Row(_row_name(changes), label, recipe, changes))
    budget = Budget(_describe(recipe, options), seeds, options)
    study = Study(f"sweep of {recipe} over {', '.join(grid)}", "", tuple(rows), (), {"sweep": budget})
    _check_rows(study)
    return study


def _row_name(changes: Changes) -> str:
    """The name of a row's run folders, independent of the order of the options and of other values."""
    names = [name for name in OPTIONS if name in changes]
    text = "-".join(f"{name}={show_value(changes[name])}" for name in names)
    safe = re.sub(r"[^\w.+=-]", "_", text)[:150]
    if safe == text:
        return text
    return f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _describe(recipe: str, options: Changes) -> str:
    given = ", ".join(f"{name} = {show_value(value)}" for name, value in options.items())
    return f"Recipe {recipe}" + (f" with {given}" if given else "")


def _check_rows(study: Study) -> None:
    """Refuse rows that cannot be trained, or that give the same run."""
    labels: dict[str, str] = {}
    for row in study.rows:
        try:
            config = configure(study, row, "sweep", seed=0)
        except UserError as fault:
            raise UserError(str(fault) if len(study.rows) == 1 else f"{fault} (row {row.label})") from None
        if not config.data.validation:
            raise UserError(
                "validation must be above 0 for a sweep, whose rows are ranked on validation images, got 0; give a "
                "share such as 0.1"
            )
        same = labels.setdefault(json.dumps(config.options(), default=dict), row.label)
        if same != row.label:
            raise UserError(f"grid must give rows that differ: {same} and {row.label} are the same run")

"""The data of a study: rows of a table, each a recipe with changes, trained with several seeds within a budget."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from capsnet.data import locate_data
from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.registry import Registry, suggest
from capsnet.runs.built import as_built
from capsnet.runs.config import RunConfig
from capsnet.runs.flags import KEY_VALUE
from capsnet.runs.folder import Run
from capsnet.runs.given import choose_schedule, find_idle
from capsnet.runs.options import make_config
from capsnet.runs.sections import Execution
from capsnet.studies.milestones import read_milestones

Changes = Mapping[str, object]


@dataclass(frozen=True)
class Reported:
    """The result that a paper reports for a row.

    Args:
        error: mean test error in percent.
        std: standard deviation over the paper's runs, if reported.
        n: number of the paper's runs, if reported.
    """

    error: float
    std: float | None = None
    n: int | None = None

    def __str__(self) -> str:
        spread = "" if self.std is None else f" ± {self.std:g}"
        return f"{self.error:.2f}{spread} %" + (f" (n = {self.n})" if self.n else "")


@dataclass(frozen=True)
class Accuracy:
    """Training and test accuracy in percent that a source reports after some epochs."""

    train: float
    test: float


def accuracies(epochs: Sequence[int], train: Sequence[float], test: Sequence[float]) -> dict[int, Accuracy]:
    """A source's accuracies in percent by epochs, from columns of equal length."""
    return {epoch: Accuracy(*pair) for epoch, *pair in zip(epochs, train, test, strict=True)}


@dataclass(frozen=True)
class Row:
    """A row of a study's table.

    Args:
        name: name of the row, and prefix of its run folders.
        label: label in the table.
        recipe: name of the recipe that gives the configuration.
        changes: options of a run that differ from the recipe.
        reported: the paper's result.
        milestones: accuracies that the source reports during training, by epochs.
    """

    name: str
    label: str
    recipe: str
    changes: Changes = field(default_factory=dict)
    reported: Reported | None = None
    milestones: Mapping[int, Accuracy] = field(default_factory=dict)


@dataclass(frozen=True)
class Budget:
    """The schedule and number of seeds of a study.

    Args:
        summary: the schedule in words, for the table.
        seeds: default number of runs of each row.
        changes: options of all rows; a row's own changes override them.
        rows: changes of single rows, by name, that override all others.
        labels: suffixes of single rows' labels, by name, for rows that the budget changes.
        stages: epochs after which the test split is evaluated, as in the source; the last one ends the run.
    """

    summary: str
    seeds: int
    changes: Changes = field(default_factory=dict)
    rows: Mapping[str, Changes] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[int, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two rows, by name, whose mean errors the study compares."""

    row: str
    other: str


@dataclass(frozen=True)
class StandIn:
    """A substitute for a data set whose files are missing when a study begins.

    Args:
        data: data set of the study's recipes.
        other: the substitute.
        is_there: whether the files of `data` exist, in the given folder or in the default ones.
        words: the sentence about the substitute in the table.
    """

    data: str
    other: str
    is_there: Callable[[Path | None], bool]
    words: str


@dataclass(frozen=True)
class Together:
    """An extra row: the networks of another row tested together, by the sum of their class capsules' lengths.

    Args:
        row: name of the other row; each of its seeds is one network.
        label: label in the table, after the number of networks.
        reported: the paper's result.
        name: name of this row.
    """

    row: str
    label: str
    reported: Reported | None = None
    name: str = "together"


@dataclass(frozen=True)
class Study:
    """A paper's table, or one like it, as data.

    Args:
        summary: one line about the study.
        source: paper or repository that reports the numbers.
        rows: rows of the table, in order.
        comparisons: pairs of rows that are tested.
        budgets: budgets by name: `"quick"` for two CPU cores, `"full"` for the paper's schedule.
        figure: `"points"`, or `"curves"` for learning curves above the points.
        stand_in: a substitute for data whose files may be missing.
        together: an extra row of networks tested together.
        given: names of the options that a person gave, all of which must have an effect.

    Raises:
        UserError: two rows with the same name, or a comparison with an unknown row.
    """

    summary: str
    source: str
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    budgets: Mapping[str, Budget]
    figure: Literal["points", "curves"] = "points"
    stand_in: StandIn | None = None
    together: Together | None = None
    given: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        if self.together is not None and self.together.row not in names:
            raise UserError(f"no row {self.together.row!r} of networks to test together. Known: {', '.join(names)}")
        if len(set(names)) < len(names):
            raise UserError(f"rows of a study must have different names, got {', '.join(names)}")
        for name in (name for pair in self.comparisons for name in (pair.row, pair.other)):
            if name not in names:
                raise UserError(f"no row {name!r} to compare{suggest(name, names)}")

    def budget(self, name: str) -> Budget:
        """Return the budget of this name.

        Raises:
            UserError: the study has no such budget.
        """
        if name not in self.budgets:
            raise UserError(f"unknown budget {name!r}{suggest(name, self.budgets)}")
        return self.budgets[name]

    def label(self, row: Row, budget: str) -> str:
        """The label of a row in the table of a budget."""
        return row.label + self.budget(budget).labels.get(row.name, "")


STUDIES: Registry[Study] = Registry("study", "capsnet.studies")

_OWN_ARGUMENTS = {
    "seed": "each row has the seeds from 0 to `seeds` - 1",
    "execution": "give `execution` instead",
    "data_dir": "give `data_dir` instead",
}


@dataclass(frozen=True)
class Task:
    """One run of a study: row, seed, folder, configuration, and the epochs at which its test split is read."""

    row: Row
    seed: int
    folder: Path
    config: RunConfig
    stages: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether the run has the test result of its last stage."""
        # a folder without a configuration is not a run; training refuses it later
        tested = (self.folder / "config.json").is_file() and Run.open(self.folder).evaluation() is not None
        if not tested or not self.stages:
            return tested
        milestones = read_milestones(self.folder)
        return bool(milestones) and milestones[-1]["epochs"] >= self.stages[-1]


def configure(study: Study, row: Row, budget: str, seed: int, changes: Changes | None = None) -> RunConfig:
    """A run's configuration: the recipe's, overridden by budget, row, the budget's changes of this row, and the user.

    Raises:
        UserError: an unknown option, a value out of range, or a routing that the model does not support.
    """
    chosen = study.budget(budget)
    together: dict[str, object] = {}
    for layer in (chosen.changes, row.changes, chosen.rows.get(row.name, {}), changes or {}):
        if layer.get("model", together.get("model")) != together.get("model"):
            # another model has other options
            together = {name: value for name, value in together.items() if name not in KEY_VALUE}
        for name, value in layer.items():
            before = together.get(name)
            # options of a model or a routing add up
            if isinstance(before, Mapping) and isinstance(value, Mapping):
                value = {**before, **value}
            together[name] = value
        # as in `RunConfig.change`: epochs alone are the whole length
        if layer.get("epochs") is not None and "steps" not in layer:
            together["steps"] = None
    data = together.get("data")
    if isinstance(data, str):
        # runs record the absolute path of a folder
        together["data"] = locate_data(data)
    config = make_config(RECIPES.get(row.recipe).config, {**together, "seed": seed})
    return as_built(choose_schedule(config, study.given | (changes or {}).keys()))


def _check_changes(changes: Changes, stages: tuple[int, ...]) -> None:
    """Refuse changes that would have no effect.

    Raises:
        UserError: the message says what to use.
    """
    for name in changes:
        if name in _OWN_ARGUMENTS:
            raise UserError(f"{name} cannot be changed in a study: {_OWN_ARGUMENTS[name]}")
        if stages and name in ("epochs", "steps", "stop_at"):
            raise UserError(
                f"{name} cannot be changed in this study: its runs are tested after "
                f"{', '.join(map(str, stages))} epochs; change limit, for a trial"
            )
    if stages and changes.get("schedule") == "one-cycle":
        raise UserError(
            "schedule cannot be one-cycle in this study: its runs go on after tests in mid-training, and each part "
            "would have a cycle of its own"
        )


def _refuse_idle(tasks: Sequence[Task], given: Collection[str], of_rows: Collection[str]) -> None:
    """Refuse options that a person gave and that have no effect.

    Args:
        tasks: a run of each row.
        given: names of options that must have an effect in some row.
        of_rows: names of options that, where a row changes them, must have an effect in it.

    Raises:
        UserError: the message says why it has none.
    """
    idle_options = [find_idle(task.config, given) for task in tasks]
    for task, idle in zip(tasks, idle_options, strict=True):
        for name, reason in idle.items():
            if name in of_rows and name in task.row.changes:
                raise UserError(f"{reason} (row {task.row.label})" if len(tasks) > 1 else reason)
            if all(name in other for other in idle_options):
                raise UserError(reason)


def plan(
    study: Study,
    budget: str,
    seeds: int,
    out: Path,
    changes: Changes | None = None,
    data_dir: str | None = None,
    execution: Execution = "auto",
) -> list[Task]:
    """All runs of a study, ordered by seed, so that a table of fewer seeds is complete early.

    Args:
        study: the study.
        budget: `"quick"` or `"full"`.
        seeds: number of runs of each row, with seeds 0 to `seeds - 1`.
        out: the study's folder.
        changes: options of every run that override all others.
        data_dir: folder that holds the folders of named data sets.
        execution: how a training step is executed.

    Raises:
        UserError: no seeds, an unknown budget or option, or an option without an effect.
    """
    if seeds < 1:
        raise UserError(f"seeds must be at least 1, got {seeds}")
    _check_changes(changes or {}, study.budget(budget).stages)
    tasks = [
        Task(
            row,
            seed,
            out / "runs" / f"{row.name}-seed{seed}",
            configure(study, row, budget, seed, changes).change(data_dir=data_dir, execution=execution),
            study.budget(budget).stages,
        )
        for seed in range(seeds)
        for row in study.rows
    ]
    _refuse_idle(tasks[: len(study.rows)], study.given | (changes or {}).keys(), study.given)
    return tasks

"""What a study is: rows of a table, each a recipe with changes, trained with several seeds within a budget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.registry import Registry, suggest
from capsnet.runs.built import as_built
from capsnet.runs.config import RunConfig
from capsnet.runs.folder import Run
from capsnet.runs.options import make_config
from capsnet.runs.sections import Execution
from capsnet.studies.milestones import read_milestones

Changes = Mapping[str, object]


@dataclass(frozen=True)
class Reported:
    """What a paper reports for a row.

    Args:
        error: mean test error in percent.
        std: standard deviation over its runs, where it gives one.
        n: its runs, where it says how many.
    """

    error: float
    std: float | None = None
    n: int | None = None

    def __str__(self) -> str:
        spread = "" if self.std is None else f" ± {self.std:g}"
        return f"{self.error:.2f}{spread} %" + (f" (n = {self.n})" if self.n else "")


@dataclass(frozen=True)
class Accuracy:
    """What a source reports after some epochs: training and test accuracy in percent."""

    train: float
    test: float


@dataclass(frozen=True)
class Row:
    """A row of a study's table.

    Args:
        name: of its run folders.
        label: in the table.
        recipe: where its configuration comes from.
        changes: options of a run that are not the recipe's.
        reported: the paper's number.
        milestones: what the source reports along the way, by epochs.
    """

    name: str
    label: str
    recipe: str
    changes: Changes = field(default_factory=dict)
    reported: Reported | None = None
    milestones: Mapping[int, Accuracy] = field(default_factory=dict)


@dataclass(frozen=True)
class Budget:
    """How much is spent on a study.

    Args:
        summary: the schedule in words, for the table's title.
        seeds: runs of each row, unless the user asks for another number.
        changes: options of a run that all rows share; a row's own changes go over them.
        rows: for some rows, by name: changes over everything else.
        labels: for some rows, by name: what is added to the label, where the budget changes what they are.
        stages: epochs after which the test split is read, too, as the source does; the last is the end of the run.
    """

    summary: str
    seeds: int
    changes: Changes = field(default_factory=dict)
    rows: Mapping[str, Changes] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[int, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two rows that the study compares, by name; the question is whether their mean errors differ."""

    row: str
    other: str


@dataclass(frozen=True)
class StandIn:
    """A data set that takes the place of another whose files are not at hand when a study begins.

    Args:
        data: what the study's recipes name.
        other: what takes its place.
        is_there: whether the files of `data` are found, in the folder that the user gives or elsewhere.
        words: what the table says of it.
    """

    data: str
    other: str
    is_there: Callable[[Path | None], bool]
    words: str


@dataclass(frozen=True)
class Together:
    """A row more: the networks of another row tested together, by the sum of the lengths of their class capsules.

    Args:
        row: whose networks, one for each seed.
        label: in the table, after the number of networks.
        reported: the paper's number.
        name: of the row.
    """

    row: str
    label: str
    reported: Reported | None = None
    name: str = "together"


@dataclass(frozen=True)
class Study:
    """A table as data.

    Args:
        summary: one line.
        source: whose table it is.
        rows: in order.
        comparisons: what is tested.
        budgets: by name: `"quick"` fits two CPU cores, `"full"` is the paper's.
        figure: `"points"`, or `"curves"` for learning curves above the points.
        stand_in: for data whose files may be absent.
        together: a row of networks tested together.

    Raises:
        UserError: two rows of one name, or a comparison of a row that is not there.
    """

    summary: str
    source: str
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    budgets: Mapping[str, Budget]
    figure: Literal["points", "curves"] = "points"
    stand_in: StandIn | None = None
    together: Together | None = None

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        if self.together is not None and self.together.row not in names:
            raise UserError(f"no row {self.together.row!r} of networks to test together. Known: {', '.join(names)}")
        if len(set(names)) < len(names):
            raise UserError(f"rows of a study must have names of their own, got {', '.join(names)}")
        for name in (name for pair in self.comparisons for name in (pair.row, pair.other)):
            if name not in names:
                raise UserError(f"no row {name!r} to compare{suggest(name, names)}")

    def budget(self, name: str) -> Budget:
        """Return the budget of this name.

        Raises:
            UserError: the study has none of it.
        """
        if name not in self.budgets:
            raise UserError(f"unknown budget {name!r}{suggest(name, self.budgets)}")
        return self.budgets[name]

    def label(self, row: Row, budget: str) -> str:
        """What a row is called in the table of a budget."""
        return row.label + self.budget(budget).labels.get(row.name, "")


STUDIES: Registry[Study] = Registry("study", "capsnet.studies")


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
        """Of the run's folder."""
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether the run has its test result, that of its last stage."""
        # a folder without a configuration is none of a run, and is refused when it is trained
        tested = (self.folder / "config.json").is_file() and Run.open(self.folder).evaluation() is not None
        if not tested or not self.stages:
            return tested
        milestones = read_milestones(self.folder)
        return bool(milestones) and milestones[-1]["epochs"] >= self.stages[-1]


def configure(study: Study, row: Row, budget: str, seed: int, changes: Changes | None = None) -> RunConfig:
    """A run's configuration: the recipe's, changed by the budget, by the row, by the budget for this row, by the user.

    Raises:
        UserError: an option that a run does not have, a value out of range, or a routing that its model cannot
            have.
    """
    chosen = study.budget(budget)
    together = {**chosen.changes, **row.changes, **chosen.rows.get(row.name, {}), **(changes or {}), "seed": seed}
    return as_built(make_config(RECIPES.get(row.recipe).config, together))


def plan(
    study: Study,
    budget: str,
    seeds: int,
    out: Path,
    changes: Changes | None = None,
    data_dir: str | None = None,
    execution: Execution = "auto",
) -> list[Task]:
    """All runs of a study, seed by seed, so that a table of fewer seeds is there first.

    Args:
        study: what to fill.
        budget: `"quick"` or `"full"`.
        seeds: runs of each row: seeds 0 to `seeds - 1`.
        out: the study's folder.
        changes: options of a run, for every run, over everything else.
        data_dir: where named data sets lie.
        execution: how a step is run.

    Raises:
        UserError: no seeds, an unknown budget or option.
    """
    if seeds < 1:
        raise UserError(f"seeds must be at least 1, got {seeds}")
    return [
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

"""A study's table as data, made from its run folders."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

from capsnet.inference.evaluate import wilson_interval
from capsnet.runs.folder import Run, RunResult
from capsnet.runs.results import SplitResult
from capsnet.studies.comparisons import ComparisonEntry, compare_rows
from capsnet.studies.milestones import read_milestones
from capsnet.studies.parameters import count_drawing
from capsnet.studies.statistics import mean_and_std
from capsnet.studies.study import STUDIES, Changes, Reported, Row, Study, Task
from capsnet.studies.together import TogetherResult


class PaperEntry(TypedDict):
    """The paper's result, in percent."""

    error: float
    std: float | None
    n: int | None


class MilestoneEntry(TypedDict):
    """A row after some epochs: mean accuracies over its seeds beside the source's, in percent."""

    epochs: int
    train: float
    test: float
    source_train: float | None
    source_test: float | None


class RowEntry(TypedDict):
    """A row: test errors in percent, one for each of `seeds`, and statistics of them.

    `errors` are those of the weights that validation chose, or of the last step without validation images; `last_*`
    are those of the last step. `decoder_parameters` is the part of `parameters` in the decoder. `wrong` and `images`
    are pooled over the seeds; `interval` is the Wilson interval of the mean error for the images of one seed, which all
    seeds share. `seconds` is the mean training time, `run_seconds` that of each finished run, `planned` the number of
    runs in the budget.

    For pairs, `errors` count exact pairs and `digit_*` single digits. For runs that stop at an accuracy (`stop_at`, a
    share), `clean_*` are errors on the `held_out` images, and `reached` is the number of runs that reached it. For
    networks tested together, `networks` is their number, and there is one error. Rows of a sweep have `validation_*`:
    errors in percent of the validation images, with a pooled Wilson interval.
    """

    name: str
    label: str
    paper: PaperEntry | None
    n: int
    seeds: list[int]
    errors: list[float]
    mean: float | None
    std: float | None
    wrong: int
    images: int
    interval: list[float] | None
    last_errors: NotRequired[list[float]]
    last_mean: float | None
    last_std: float | None
    parameters: int | None
    decoder_parameters: NotRequired[int]
    seconds: float | None
    planned: NotRequired[int]
    run_seconds: NotRequired[list[float]]
    digit_errors: NotRequired[list[float]]
    digit_mean: NotRequired[float]
    digit_std: NotRequired[float | None]
    stop_at: NotRequired[float]
    held_out: NotRequired[int]
    clean_errors: NotRequired[list[float]]
    clean_mean: NotRequired[float]
    clean_std: NotRequired[float | None]
    reached: NotRequired[int]
    networks: NotRequired[int]
    validation_errors: NotRequired[list[float]]
    validation_mean: NotRequired[float]
    validation_std: NotRequired[float | None]
    validation_interval: NotRequired[list[float]]
    milestones: NotRequired[list[MilestoneEntry]]
    reported_after: NotRequired[int]


class SweepEntry(TypedDict):
    """A sweep: the values of each option, and the names of the rows with the lowest mean validation error.

    `chosen` is empty while runs are missing. `validation_images` is their number in a run.
    """

    recipe: str
    grid: dict[str, list[object]]
    chosen: list[str]
    validation_images: int


class Table(TypedDict):
    """The content of `table.json`; `stand_in` is the sentence about a substitute for the paper's data set."""

    study: str
    budget: str
    title: str
    schedule: str
    changes: dict[str, object]
    source: str
    command: str
    validated: bool
    rows: list[RowEntry]
    comparisons: list[ComparisonEntry]
    seconds: float
    machines: list[str]
    commits: list[str]
    versions: list[str]
    stand_in: NotRequired[str]
    sweep: NotRequired[SweepEntry]


def make_table(
    name: str,
    budget: str,
    tasks: Sequence[Task],
    command: str,
    changes: Changes | None = None,
    together: TogetherResult | None = None,
    study: Study | None = None,
) -> Table:
    """Collect the finished runs of a study.

    Args:
        name: name of the study.
        budget: name of the budget.
        tasks: the runs; unfinished ones are left out.
        command: the command that makes the table.
        changes: the user's changes to every run.
        together: the result of networks tested together, if the study has them.
        study: the study; None: the registered study of this name.
    """
    study = study or STUDIES.get(name)
    runs = [(task, Run.open(task.folder)) for task in tasks if task.finished]
    results = [(task, result) for task, run in runs if (result := run.evaluation()) is not None]
    rows = [
        _row(
            study, budget, row, [pair for pair in results if pair[0].row == row], sum(task.row == row for task in tasks)
        )
        for row in study.rows
    ]
    if study.together is not None:
        rows.append(_together_row(study, together, study.budget(budget).seeds))
    on, words = _data(study, tasks, changes)
    # the paper's result does not apply to other data or to another network
    if words or {"data", "model"} & set(changes or {}):
        rows = [{**row, "paper": None} for row in rows]
    tested = {row["name"] for row in rows if row["n"]}
    pairs = [(pair.row, pair.other) for pair in study.comparisons if {pair.row, pair.other} <= tested]
    environments = [run.environment() or {} for _, run in runs]
    table: Table = {
        "study": name,
        "budget": budget,
        "title": f"{name}, {budget} budget{on}" + (", changed" if changes else ""),
        "schedule": study.budget(budget).summary,
        "changes": dict(changes or {}),
        "source": study.source,
        "command": command,
        "validated": any("validation" in result for _, result in results),
        "rows": rows,
        "comparisons": compare_rows(_errors_by_seed(rows), pairs),
        "seconds": round(sum(result["seconds"] for _, result in results), 1),
        "machines": sorted({_machine(environment) for environment in environments}),
        "commits": sorted({str(environment.get("commit") or "unknown") for environment in environments}),
        "versions": sorted(
            {f"capsnet {environment.get('capsnet')}, torch {environment.get('torch')}" for environment in environments}
        ),
    }
    return {**table, "stand_in": words} if words else table


def _data(study: Study, tasks: Sequence[Task], changes: Changes | None) -> tuple[str, str]:
    """For a study whose data may be missing: the data in the title, and the sentence about a substitute."""
    pair = study.stand_in
    if pair is None or not tasks or "data" in (changes or {}):
        return "", ""
    used = tasks[0].config.data.name
    return f", on {used}", pair.words if used == pair.other else ""


def _row(study: Study, budget: str, row: Row, finished: Sequence[tuple[Task, RunResult]], planned: int) -> RowEntry:
    results = [result for _, result in finished]
    errors, last = ([result[key]["error_percent"] for result in results] for key in ("test", "test_last"))
    images = sum(result["test"]["n"] for result in results)
    wrong = sum(round(result["test"]["n"] * (1 - result["test"]["accuracy"])) for result in results)
    mean, std = mean_and_std(errors) if errors else (None, None)
    last_mean, last_std = mean_and_std(last) if last else (None, None)
    entry: RowEntry = {
        "name": row.name,
        "label": study.label(row, budget),
        "paper": _paper(row.reported),
        "n": len(errors),
        "seeds": [task.seed for task, _ in finished],
        "errors": errors,
        "mean": _rounded(mean),
        "std": _rounded(std),
        "wrong": wrong,
        "images": images,
        "interval": _interval(wrong, [result["test"] for result in results]),
        "last_errors": last,
        "last_mean": _rounded(last_mean),
        "last_std": _rounded(last_std),
        "parameters": results[0].get("parameters") if results else None,
        "seconds": round(sum(result["seconds"] for result in results) / len(results), 1) if results else None,
    }
    entry["planned"], entry["run_seconds"] = planned, [round(result["seconds"], 1) for result in results]
    if finished and (decoder := count_drawing(Run.open(finished[0][0].folder).config, results[0])) is not None:
        entry["decoder_parameters"] = decoder
    _add_digits(entry, results)
    _add_clean(entry, finished)
    _add_milestones(entry, row, finished)
    return entry


def _add_digits(entry: RowEntry, results: Sequence[RunResult]) -> None:
    """Add the errors of single digits, for runs on pairs."""
    missed = [result["test"]["digit_error_percent"] for result in results if "digit_error_percent" in result["test"]]
    if missed:
        mean, std = mean_and_std(missed)
        entry["digit_errors"], entry["digit_mean"], entry["digit_std"] = missed, round(mean, 6), _rounded(std)


def _add_clean(entry: RowEntry, finished: Sequence[tuple[Task, RunResult]]) -> None:
    """Add the errors on held-out images, for runs that stop at an accuracy."""
    levels = [task.config.optimizer.stop_at for task, _ in finished if task.config.optimizer.stop_at]
    held_out = [result["validation"] for _, result in finished if "validation" in result]
    if not levels or not held_out:
        return
    errors = [round(100 * (1 - part["accuracy"]), 6) for part in held_out]
    mean, std = mean_and_std(errors)
    entry["stop_at"], entry["held_out"] = levels[0], held_out[0]["n"]
    entry["clean_errors"], entry["clean_mean"], entry["clean_std"] = errors, round(mean, 6), _rounded(std)
    entry["reached"] = sum(part["accuracy"] >= levels[0] for part in held_out)


def _add_milestones(entry: RowEntry, row: Row, finished: Sequence[tuple[Task, RunResult]]) -> None:
    """Add the accuracies after each stage beside the source's, for runs in stages."""
    stages = [read_milestones(task.folder) for task, _ in finished if task.stages]
    if not stages:
        return
    entries: list[MilestoneEntry] = []
    for same in zip(*stages, strict=True):
        source = row.milestones.get(same[0]["epochs"])
        entries.append(
            {
                "epochs": same[0]["epochs"],
                "train": round(100 * sum(one["train_accuracy"] for one in same) / len(same), 6),
                "test": round(100 * sum(one["test_accuracy"] for one in same) / len(same), 6),
                "source_train": source.train if source else None,
                "source_test": source.test if source else None,
            }
        )
    entry["milestones"] = entries
    if entries and row.milestones and entries[-1]["epochs"] < max(row.milestones):
        entry["reported_after"] = max(row.milestones)


def _together_row(study: Study, result: TogetherResult | None, seeds: int) -> RowEntry:
    """The row of networks tested together, which has one error and no standard deviation."""
    assert study.together is not None
    test, count = (result["test"], len(result["runs"])) if result is not None else (None, seeds)
    images = 0 if test is None else test["n"]
    wrong = 0 if test is None else round(test["n"] * (1 - test["accuracy"]))
    return {
        "name": study.together.name,
        "label": f"{count} {study.together.label}",
        "paper": _paper(study.together.reported),
        "n": 0 if test is None else 1,
        "seeds": [],
        "errors": [] if test is None else [test["error_percent"]],
        "mean": None if test is None else test["error_percent"],
        "std": None,
        "wrong": wrong,
        "images": images,
        "interval": _interval(wrong, [] if test is None else [test]),
        "last_mean": None,
        "last_std": None,
        "parameters": None if result is None else result["parameters"],
        "seconds": None,
        "networks": count,
    }


def _paper(reported: Reported | None) -> PaperEntry | None:
    return None if reported is None else {"error": reported.error, "std": reported.std, "n": reported.n}


def _interval(wrong: int, tests: Sequence[SplitResult]) -> list[float] | None:
    """The interval of the mean error of some runs: they share the images of the test split, which count once.

    Variants of one image count once, too.
    """
    images = sum(test["n"] for test in tests)
    if not images:
        return None
    distinct = images // len(tests)
    return [
        round(end, 6) for end in wilson_interval(wrong / images, min(distinct, tests[0].get("originals") or distinct))
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _errors_by_seed(rows: Sequence[RowEntry]) -> dict[str, dict[int, float]]:
    """Test errors of the rows that have runs; networks tested together have no seeds."""
    return {
        row["name"]: dict(zip(row["seeds"], row["errors"], strict=True)) for row in rows if row["n"] and row["seeds"]
    }


def _machine(environment: dict[str, object]) -> str:
    where = environment.get("device")
    processor = environment.get("processor") if where == "cpu" else where
    threads = environment.get("threads")
    return f"{processor}, {threads} thread{'' if threads == 1 else 's'}, {environment.get('precision')}"

"""The table of a sweep: rows in the order of their validation errors, with test errors that choose nothing."""

from collections.abc import Sequence
from itertools import combinations

from capsnet.errors import UserError
from capsnet.inference.evaluate import wilson_interval
from capsnet.runs.folder import Run, ValidationResult
from capsnet.runs.splits import read_splits
from capsnet.studies.comparisons import ComparisonEntry, compare_rows
from capsnet.studies.grid import Grid
from capsnet.studies.markdown import (
    Column,
    comparison_cells,
    format_errors,
    format_interval,
    format_parameters,
    format_seconds,
    format_seeds,
    mean_words,
    table_lines,
    testing_words,
)
from capsnet.studies.statistics import mean_and_std
from capsnet.studies.study import Study, Task
from capsnet.studies.table import RowEntry, Table, make_table


def make_sweep_table(study: Study, recipe: str, grid: Grid, tasks: Sequence[Task], command: str) -> Table:
    """Collect the finished runs of a sweep, and rank its rows.

    Args:
        study: the study of the sweep's grid.
        recipe: name of the recipe.
        grid: values of each option.
        tasks: the runs; unfinished ones are left out, and then no row is chosen.
        command: the command that makes the table.
    """
    table = make_table(f"sweep of {recipe}", "sweep", tasks, command, study=study)
    finished = [task for task in tasks if task.finished]
    results = {task.name: _validation(task) for task in finished}
    shared = _same_validation(finished)
    rows = [
        _add_validation(row, [results[task.name] for task in finished if task.row.name == row["name"]], shared=shared)
        for row in table["rows"]
    ]
    rows.sort(key=lambda row: (row["n"] == 0, row.get("validation_mean", 0.0)))
    complete = all(task.finished for task in tasks)
    best = rows[0].get("validation_mean")
    chosen = [row["name"] for row in rows if complete and row.get("validation_mean") == best]
    return {
        **table,
        "title": study.summary,
        "rows": rows,
        "comparisons": _compare(rows, chosen[0]) if chosen else [],
        "sweep": {
            "recipe": recipe,
            "grid": {name: list(values) for name, values in grid.items()},
            "chosen": chosen,
            "validation_images": max((result["n"] for result in results.values()), default=0),
        },
    }


def sweep_to_markdown(table: Table) -> str:
    """`table.md` of a sweep: the rows, the chosen one, the comparisons, and how to read them."""
    columns = _columns(table)
    labels = {row["name"]: row["label"] for row in table["rows"]}
    parts = [
        f"# {table['title'][:1].upper()}{table['title'][1:]}",
        f"{table['schedule']}.",
        table_lines([head for head, _ in columns], [[cell(row) for _, cell in columns] for row in table["rows"]]),
        _choice(table, labels),
        _reading(table),
    ]
    if table["comparisons"]:
        heads = ["compared", "difference of validation errors", "p", "conclusion"]
        parts.append(table_lines(heads, [comparison_cells(entry, labels) for entry in table["comparisons"]]))
        parts.append(_testing(table))
    parts.append(
        f"Machine: {'; '.join(table['machines'])}. Commit {', '.join(table['commits'])}; "
        f"{'; '.join(table['versions'])}. Training took {table['seconds'] / 60:.1f} minutes in all."
        f"\n\n    {table['command']}"
    )
    return "\n\n".join(parts) + "\n"


def _columns(table: Table) -> list[Column]:
    spread = mean_words(table)
    return [
        ("row", lambda row: row["label"]),
        (f"validation error, {spread}", lambda row: format_errors(row.get("validation_errors", []))),
        ("95 % interval, validation", lambda row: format_interval(row.get("validation_interval"))),
        ("seeds", format_seeds),
        (f"test error, {spread}", lambda row: format_errors(row["errors"])),
        ("95 % interval, test", lambda row: format_interval(row["interval"])),
        ("parameters", format_parameters),
        ("training", format_seconds),
    ]


def _choice(table: Table, labels: dict[str, str]) -> str:
    chosen = [labels[name] for name in table["sweep"]["chosen"]]
    if not chosen:
        return "Runs are missing, so no row is chosen: repeat the command to train them."
    if len(chosen) == 1:
        return f"Lowest validation error: **{chosen[0]}**."
    return f"**{'** and **'.join(chosen)}** tie for the lowest validation error."


def _reading(table: Table) -> str:
    count = table["sweep"]["validation_images"]
    std = "Std is the standard deviation over seeds (n - 1). " if max(row["n"] for row in table["rows"]) > 2 else ""
    return (
        f"Rows are in the order of their mean validation error, on {count:,} images a run that were held out of the "
        "training images. These images also chose the weights of each run, so validation errors are slightly "
        "optimistic, for all rows alike. The test split chose nothing: it was evaluated once, at the end of each run. "
        "The test error of the first row is therefore a fair estimate; choosing a row by its test error would not be. "
        f"{std}Intervals are 95 % Wilson intervals, of the validation "
        "error over the validation images of all seeds (counted once if the seeds share them), of the mean test error "
        "over the test images, which all seeds share; they do not include variation between seeds."
    )


def _testing(table: Table) -> str:
    count = len(table["rows"]) * (len(table["rows"]) - 1) // 2
    correction = (
        f"Since the first row was chosen by these errors, p is corrected for all {count} pairs of rows by Holm's "
        "method; a"
    )
    return testing_words(table["comparisons"], correction, table["rows"])


def _compare(rows: Sequence[RowEntry], chosen: str) -> list[ComparisonEntry]:
    """Compare the chosen row with each other row; p is corrected for all pairs, since any row could be chosen."""
    errors = {row["name"]: dict(zip(row["seeds"], row.get("validation_errors", ()), strict=True)) for row in rows}
    return [entry for entry in compare_rows(errors, list(combinations(errors, 2))) if entry["row"] == chosen]


def _validation(task: Task) -> ValidationResult:
    result = Run.open(task.folder).evaluation()
    assert result is not None
    if "validation" not in result:
        raise UserError(
            f"{task.folder} has no validation images, by which a sweep ranks its rows: every class has too few images"
        )
    return result["validation"]


def _same_validation(tasks: Sequence[Task]) -> bool:
    """Whether all runs were validated on the same images, which is known where images have names."""
    names = [(read_splits(task.folder) or {}).get("validation") for task in tasks]
    return bool(names and names[0]) and all(other == names[0] for other in names)


def _add_validation(row: RowEntry, results: Sequence[ValidationResult], *, shared: bool) -> RowEntry:
    if not results:
        return row
    errors = [round(100 * (1 - result["accuracy"]), 6) for result in results]
    mean, std = mean_and_std(errors)
    images = sum(result["n"] for result in results)
    wrong = sum(round(result["n"] * (1 - result["accuracy"])) for result in results)
    # a data set's own validation images are those of every seed, and count once
    distinct = images // len(results) if shared else images
    return {
        **row,
        "validation_errors": errors,
        "validation_mean": round(mean, 6),
        "validation_std": None if std is None else round(std, 6),
        "validation_interval": [round(end, 4) for end in wilson_interval(wrong / images, distinct)],
    }

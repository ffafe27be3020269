"""A study's table, from its run folders alone: as data, and as Markdown."""

from collections.abc import Sequence
from typing import TypedDict

from capsnet.studies.statistics import SIGNIFICANT, mean_and_std, welch_test
from capsnet.studies.study import STUDIES, Changes, Row, Study, Task
from capsnet.training.evaluation import wilson_interval
from capsnet.training.run import Run, RunResult


class PaperEntry(TypedDict):
    """What the paper reports, in percent."""

    error: float
    std: float | None
    n: int | None


class RowEntry(TypedDict):
    """A row: errors in percent of the test images, one for each seed, and what follows from them.

    `errors` are those of the weights that validation chose, or of the last step where nothing was held out; `last_*`
    those of the last step. `wrong` and `images` are pooled over the seeds, `interval` is Wilson's of them. `seconds`
    is the mean time of training.
    """

    name: str
    label: str
    paper: PaperEntry | None
    n: int
    errors: list[float]
    mean: float | None
    std: float | None
    wrong: int
    images: int
    interval: list[float] | None
    last_mean: float | None
    last_std: float | None
    parameters: int | None
    seconds: float | None


class ComparisonEntry(TypedDict):
    """Two rows: difference of their mean errors in points of percent, and Welch's p (None: cannot be tested)."""

    row: str
    other: str
    difference: float
    p: float | None
    differs: bool


class Table(TypedDict):
    """What `table.json` holds."""

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


def make_table(name: str, budget: str, tasks: Sequence[Task], command: str, changes: Changes | None = None) -> Table:
    """Collect the finished runs of a study.

    Args:
        name: of the study.
        budget: its name.
        tasks: the runs; those that are not finished are left out.
        command: that makes them.
        changes: that the user made to every run.
    """
    study = STUDIES.get(name)
    runs = [(task, Run.open(task.folder)) for task in tasks if task.finished]
    results = [(task, result) for task, run in runs if (result := run.evaluation()) is not None]
    rows = [_row(study, budget, row, [found for task, found in results if task.row == row]) for row in study.rows]
    # on other data or with another network, the paper's number says nothing about these runs
    if {"data", "model"} & set(changes or {}):
        rows = [{**row, "paper": None} for row in rows]
    environments = [run.environment() or {} for _, run in runs]
    return {
        "study": name,
        "budget": budget,
        "title": f"{name}, {budget} budget" + (", changed" if changes else ""),
        "schedule": study.budget(budget).summary,
        "changes": dict(changes or {}),
        "source": study.source,
        "command": command,
        "validated": any("validation" in result for _, result in results),
        "rows": rows,
        "comparisons": _compare(study, rows),
        "seconds": round(sum(result["seconds"] for _, result in results), 1),
        "machines": sorted({_machine(environment) for environment in environments}),
        "commits": sorted({str(environment.get("commit")) for environment in environments}),
        "versions": sorted(
            {f"capsnet {environment.get('capsnet')}, torch {environment.get('torch')}" for environment in environments}
        ),
    }


def _row(study: Study, budget: str, row: Row, results: Sequence[RunResult]) -> RowEntry:
    errors, last = ([result[key]["error_percent"] for result in results] for key in ("test", "test_last"))
    images = sum(result["test"]["n"] for result in results)
    wrong = sum(round(result["test"]["n"] * (1 - result["test"]["accuracy"])) for result in results)
    mean, std = mean_and_std(errors) if errors else (None, None)
    last_mean, last_std = mean_and_std(last) if last else (None, None)
    paper = row.reported
    return {
        "name": row.name,
        "label": study.label(row, budget),
        "paper": None if paper is None else {"error": paper.error, "std": paper.std, "n": paper.n},
        "n": len(errors),
        "errors": errors,
        "mean": _rounded(mean),
        "std": _rounded(std),
        "wrong": wrong,
        "images": images,
        "interval": [round(end, 4) for end in wilson_interval(wrong / images, images)] if images else None,
        "last_mean": _rounded(last_mean),
        "last_std": _rounded(last_std),
        "parameters": results[0].get("parameters") if results else None,
        "seconds": round(sum(result["seconds"] for result in results) / len(results), 1) if results else None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _compare(study: Study, rows: Sequence[RowEntry]) -> list[ComparisonEntry]:
    named = {row["name"]: row for row in rows}
    entries: list[ComparisonEntry] = []
    for pair in study.comparisons:
        row, other = named[pair.row], named[pair.other]
        if row["mean"] is None or other["mean"] is None:
            continue
        p = welch_test(row["errors"], other["errors"])
        entries.append(
            {
                "row": pair.row,
                "other": pair.other,
                "difference": round(row["mean"] - other["mean"], 6),
                "p": p if p is None else float(f"{p:.4g}"),
                "differs": p is not None and p < SIGNIFICANT,
            }
        )
    return entries


def _machine(environment: dict[str, object]) -> str:
    where = environment.get("device")
    processor = environment.get("processor") if where == "cpu" else where
    return f"{processor}, {environment.get('threads')} threads, {environment.get('precision')}"


def to_markdown(table: Table) -> str:
    """`table.md`: the rows, the comparisons, and all that a number needs beside it."""
    head = ["row", "paper, test error", "ours, mean ± std", "seeds", "95 % interval, pooled"]
    head += ["last step"] if table["validated"] else []
    head += ["parameters", "training"]
    lines = [_line(head), _line(["---"] * len(head))]
    lines += [_line(_cells(row, table["validated"])) for row in table["rows"]]
    labels = {row["name"]: row["label"] for row in table["rows"]}
    compared = [_line(_comparison(entry, labels)) for entry in table["comparisons"]]
    changed = ", ".join(f"{name} = {value}" for name, value in table["changes"].items())
    parts = [
        f"# {table['title']}",
        f"{table['schedule']}." + (f" Changed for this table: {changed}." if changed else ""),
        "\n".join(lines),
        _reading(table),
    ]
    if compared:
        columns = ["compared", "difference of mean errors", "p", "conclusion"]
        parts.append("\n".join([_line(columns), _line(["---"] * len(columns)), *compared]))
    parts.append(_testing(table))
    parts.append(
        f"Source of the paper's numbers: {table['source']}. Machine: {'; '.join(table['machines']) or 'none yet'}. "
        f"Commit {', '.join(table['commits']) or 'none yet'}; {'; '.join(table['versions']) or 'no runs yet'}. "
        f"Training took {table['seconds'] / 60:.1f} minutes in all.\n\n    {table['command']}"
    )
    return "\n\n".join(parts) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cells(row: RowEntry, validated: bool) -> list[str]:
    paper = row["paper"]
    reported = "" if paper is None else _percent(paper["error"], paper["std"], digits=3)
    if row["mean"] is None or row["interval"] is None:
        return [row["label"], reported, "no run finished", "0", *[""] * (4 if validated else 3)]
    low, high = row["interval"]
    cells = [row["label"], reported, _percent(row["mean"], row["std"]), str(row["n"]), f"{low:.2f} to {high:.2f} %"]
    if validated and row["last_mean"] is not None:
        cells.append(_percent(row["last_mean"], row["last_std"]))
    parameters = "" if row["parameters"] is None else f"{row['parameters']:,}"
    return [*cells, parameters, f"{row['seconds']:,.0f} s"]


def _percent(mean: float, std: float | None, digits: int = 2) -> str:
    return f"{mean:.2f} %" if std is None else f"{mean:.2f} ± {std:.{digits}f} %"


def _comparison(entry: ComparisonEntry, labels: dict[str, str]) -> list[str]:
    pair = f"{labels[entry['row']]} against {labels[entry['other']]}"
    difference = f"{entry['difference']:+.2f} points"
    if entry["p"] is None:
        return [pair, difference, "", "cannot be tested"]
    verdict = (
        ("lower error" if entry["difference"] < 0 else "higher error") if entry["differs"] else "no difference shown"
    )
    return [pair, difference, f"{entry['p']:.2g}", verdict]


def _reading(table: Table) -> str:
    chosen = (
        "weights best on validation images; the last step stands beside them" if table["validated"] else "last step"
    )
    return (
        f"Test error of the {chosen}; the test split was read once, at the end, and chose nothing. Std is over seeds "
        "(n - 1); the interval is Wilson's of all test decisions of a row's seeds: it knows of chance in test images, "
        "not in seeds. Training is the mean time of a run without its tests."
    )


def _testing(table: Table) -> str:
    counts = [row["n"] for row in table["rows"] if row["n"]]
    if not counts or max(counts) < 2:
        return "With one seed a row nothing can be tested: the differences above may all be chance."
    few = (
        f" With {max(counts)} seeds a row only differences several times as large as the scatter over seeds can be "
        'shown; "no difference shown" does not mean that there is none.'
        if max(counts) < 5
        else ""
    )
    return (
        f"Tested by Welch's t test over seeds; a difference counts where p < {SIGNIFICANT:g}, without a correction for "
        f"the {len(table['comparisons'])} comparisons.{few}"
    )

"""Write a page for each study of which docs/studies/NAME holds a table: docs/studies/NAME.md.

The prose is in docs/studies/pages; every number in it comes from table.json.
"""

import json
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from conclusions import conclusions, epoch_seconds

from capsnet.errors import UserError
from capsnet.runs import Run
from capsnet.runs.epochs import read_epochs
from capsnet.studies import STUDIES, Table, compare_runs
from capsnet.studies.comparisons import ComparisonEntry
from capsnet.studies.statistics import SIGNIFICANT, format_p

STUDY_FOLDER = Path(__file__).parent / "studies"
PICTURES = {
    "curves": "Loss and error over the epochs",
    "structure": "The network's layers and parameters",
    "reconstructions": "Test digits above their reconstructions",
    "manipulate-5": "What each dimension of a digit's capsule changes",
    "data": "Number of images of each class, and examples",
}


def write_pages(folder: Path = STUDY_FOLDER) -> list[Path]:
    """Write all pages; returns those written."""
    pages = []
    for path in sorted(folder.glob("*/table.json")):
        name = path.parent.name
        page = folder / f"{name}.md"
        page.write_text(fill(json.loads(path.read_text()), (folder / "pages" / f"{name}.md").read_text(), path.parent))
        pages.append(page)
    return pages


def fill(table: Table, prose: str, folder: Path) -> str:
    """The prose of a study with its table, figure and numbers."""
    means = [row["mean"] for row in table["rows"] if row["mean"] is not None]
    full = STUDIES.get(table["study"]).budget("full").summary
    quarter = "quarter" in table["rows"][0]["label"]
    # the table's own title becomes a heading of the page
    text = (folder / "table.md").read_text().removeprefix("# ")
    page = prose.format(
        table=f"## {text}".rstrip(),
        figure=f"{folder.name}/figure.png",
        schedule=table["schedule"].split(";")[0],
        full_schedule=full.split(";")[0] if table["budget"] != "full" else "the same schedule",
        errors=" to ".join(dict.fromkeys((f"{min(means):.2f}", f"{max(means):.2f}"))) + " %",
        seeds=max(row["n"] for row in table["rows"]),
        verdicts="\n".join(verdicts(table, folder)),
        clean=clean(table),
        together=together(table),
        # the table itself names a stand-in
        data="" if "stand_in" in table else data(table),
        pace=pace(table, folder),
        pictures=pictures(folder),
        missing=missing(table),
        precisions=precisions(table, folder),
        shared=shared_runs(table, folder),
        conclusions=conclusions(folder) if table["study"] == "capsnet-project-table" else "",
        first_epoch=first_epoch(table),
        cnn="The CNN of this table has a quarter of the channels of the paper's. " if quarter else "",
    )
    # a part without content leaves no empty lines
    return re.sub(r"\n{3,}", "\n\n", page)


def precisions(table: Table, folder: Path) -> str:
    """Which seeds were trained in which precision, where they differ."""
    seeds: dict[str, set[int]] = {}
    for row in table["rows"]:
        for seed in row["seeds"]:
            environment = Run.open(folder / "runs" / f"{row['name']}-seed{seed}").environment() or {}
            seeds.setdefault(str(environment.get("precision")), set()).add(seed)
    if len(seeds) < 2:
        return ""
    parts = [f"{name} in seeds {', '.join(map(str, sorted(members)))}" for name, members in sorted(seeds.items())]
    text = f"The precision was the default of each processor: {'; '.join(parts)}."
    if set.intersection(*seeds.values()):
        return text
    return f"{text} All rows of a seed share its precision, and the test compares rows within seeds."


def shared_runs(table: Table, folder: Path) -> str:
    """Which runs are also runs of other studies: those with the same configuration and the same training time."""
    others: dict[tuple[str, float], list[str]] = {}
    for path in sorted(STUDY_FOLDER.glob("*/runs/*/evaluation.json")):
        if path.parents[2].name != table["study"]:
            others.setdefault(_fingerprint(path.parent), []).append(path.parents[2].name)
    parts: dict[tuple[str, str], list[int]] = {}
    for row in table["rows"]:
        for seed in row["seeds"]:
            for other in others.get(_fingerprint(folder / "runs" / f"{row['name']}-seed{seed}"), []):
                parts.setdefault((row["label"], other), []).append(seed)
    words = [
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))} of {label} in [{other}]({other}.md)"
        for (label, other), seeds in parts.items()
    ]
    return f"Some runs were trained once and appear in several studies: {'; '.join(words)}." if words else ""


def _fingerprint(run: Path) -> tuple[str, float]:
    return (run / "config.json").read_text(), json.loads((run / "evaluation.json").read_text())["seconds"]


def missing(table: Table) -> str:
    """The rows that have no run yet."""
    labels = [row["label"] for row in table["rows"] if not row["n"]]
    return f"Not run yet: {' and '.join(labels)}." if labels else ""


def pace(table: Table, folder: Path) -> str:
    """Seconds of the fastest, the median and the slowest epoch of each row."""
    lines = []
    for row in table["rows"]:
        runs = [Run.open(folder / "runs" / f"{row['name']}-seed{seed}") for seed in row["seeds"]]
        seconds = sorted(second for run in runs for second in epoch_seconds(read_epochs(run.metrics())))
        if seconds:
            low, middle, high = seconds[0], statistics.median(seconds), seconds[-1]
            lines.append(f"An epoch of {row['label']} took {low:,.0f} to {high:,.0f} s (median {middle:,.0f} s).")
    return " ".join(lines)


def pictures(folder: Path) -> str:
    """The pictures of a run that lie beside the table."""
    present = [(name, words) for name, words in PICTURES.items() if (folder / f"{name}.png").is_file()]
    return "\n\n".join(f"![{words}]({folder.name}/{name}.png)" for name, words in present)


def first_epoch(table: Table) -> str:
    """The training accuracies of the first epoch, in the source and here; empty without the source's."""
    rows = [(row["label"], row["milestones"][0]) for row in table["rows"] if "milestones" in row]
    if any(first["epochs"] != 1 or first["source_train"] is None for _, first in rows):
        return ""
    source = " and ".join(f"{first['source_train']:.2f} % ({label})" for label, first in rows)
    ours = " and ".join(f"{first['train']:.2f} %" for _, first in rows)
    return f"In the first epoch the source's training accuracy is {source}; ours is {ours}."


def clean(table: Table) -> str:
    """The clean errors of runs that were to end at the same accuracy."""
    rows = [row for row in table["rows"] if "clean_mean" in row]
    if not rows:
        return ""
    errors = " and ".join(f"{row['clean_mean']:.2f} % ({row['label']})" for row in rows)
    short = sum(row["n"] - row["reached"] for row in rows)
    level = f"an accuracy of {100 * rows[0]['stop_at']:g} %"
    end = f"every run reached {level}"
    if short:
        end = f"{short} of the runs did not reach {level}, so this is not a comparison at equal accuracy"
    return f"The clean errors are {errors}: {end}."


def together(table: Table) -> str:
    """The error of networks together relative to the mean of their own errors."""
    for row in table["rows"]:
        if "networks" in row and row["mean"] is not None and table["rows"][0]["mean"] is not None:
            points = table["rows"][0]["mean"] - row["mean"]
            word = "lower" if points > 0 else "higher"
            return f"The error of the ensemble is {abs(points):.2f} points {word} than the mean error of its members."
    return ""


def data(table: Table) -> str:
    """The data that the networks were tested on, where another set may replace the paper's."""
    return f"{table['stand_in']}." if "stand_in" in table else "The test images are affNIST's own."


def verdicts(table: Table, folder: Path) -> list[str]:
    """The conclusions of the comparisons: those of one reference row and one kind are a line."""
    labels = {row["name"]: row["label"] for row in table["rows"]}
    untested: list[str] = []
    tested: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for entry in table["comparisons"]:
        pair, points = (labels[entry["row"]], labels[entry["other"]]), abs(entry["difference"])
        if entry["p"] is None:
            test = image_by_image(folder, entry, pair) or "One seed, or equal results: this cannot be tested."
            untested.append(f"- {pair[0]} and {pair[1]} differ by {points:.2f} points. {test}")
            continue
        kind, by = "no", f" ({entry['difference']:+z.2f} points, p = {format_p(entry['p'])})"
        if entry["differs"]:
            kind = "a lower" if entry["difference"] < 0 else "a higher"
            by = f" by {points:.2f} points (p = {format_p(entry['p'])})"
        tested.setdefault((kind, pair[1]), []).append((pair[0], by))
    return [*(_verdict(*key, rows) for key, rows in tested.items()), *untested]


def _verdict(kind: str, reference: str, rows: Sequence[tuple[str, str]]) -> str:
    """One row as a sentence, several as a list."""
    if len(rows) > 1:
        head = (
            "No significant difference from" if kind == "no" else f"{kind.removeprefix('a ').title()} test error than"
        )
        return f"- {head} **{reference}**: {'; '.join(f'**{label}**{by}' for label, by in rows)}."
    ((label, by),) = rows
    if kind == "no":
        return f"- **{label}** has no significant difference from **{reference}**{by}."
    return f"- **{label}** has {kind} test error than **{reference}**,{by}."


def image_by_image(folder: Path, entry: ComparisonEntry, labels: tuple[str, str]) -> str:
    """McNemar's test of the first seed's runs; empty where a run or its predictions are missing."""
    runs = [folder / "runs" / f"{name}-seed0" for name in (entry["row"], entry["other"])]
    if not all((run / "predictions.safetensors").is_file() for run in runs):
        return ""
    try:
        test = compare_runs(*map(Run.open, runs))
    except UserError:
        # pairs, or several variants of each image
        return ""
    result = "a significant difference" if test.p_value < SIGNIFICANT else "no significant difference"
    return (
        f"Of {test.n:,} test images {test.only_first} are classified correctly by {labels[0]} only and "
        f"{test.only_second} by {labels[1]} only: {result} between these two sets of weights (McNemar's exact test, "
        f"p = {test.p_value:.2g}). This does not include the variation between seeds."
    )


if __name__ == "__main__":
    print(*write_pages(), sep="\n")

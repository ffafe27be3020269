"""Write the tables of docs/records.md: records of capsule networks from docs/records.json, and ours from run folders.

What others report is data with its source (records.json). What this package reports comes from docs/studies and
docs/runs; parameters are counted from the models.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from capsnet.inference import Evaluation
from capsnet.models import create_model
from capsnet.runs import Run
from capsnet.runs.weights import count_decoder, count_parameters, on_meta
from capsnet.studies import Table
from capsnet.studies.markdown import format_errors
from capsnet.studies.parameters import count_drawing
from capsnet.studies.table import RowEntry

DOCS = Path(__file__).parent
PAGE = DOCS / "records.md"
BLOCK = re.compile(r"<!-- records: (\w+), made by docs/fill.py -->\n.*?<!-- end of records -->", re.DOTALL)
HEAD = [
    "| method | test error | what it is | parameters without decoder | decoder | source | source was |",
    "|:--|--:|:--|--:|--:|:--|:--|",
]
OURS = [
    "| model | test error | seeds | parameters without decoder | decoder | trained by | from |",
    "|:--|--:|--:|--:|--:|:--|:--|",
]
RUNS = "recipes.md#results-kept-in-this-repository"
TITLES = {
    "affnist": "affNIST, trained on shifted MNIST",
    "affnist-like": "affNIST-like transformations of MNIST, trained on shifted MNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "fashion-mnist": "Fashion-MNIST",
    "mnist": "MNIST",
    "multimnist": "MultiMNIST, exact pairs",
    "smallnorb": "smallNORB",
    "svhn": "SVHN",
}


class Record(TypedDict):
    """A number that others report.

    `error` is in percent, None where it was not read. `model` is the model of this package with the same parameters,
    which are counted; of other networks `parameters` is what the source states. `read`: the source itself was read;
    otherwise the number is cited from elsewhere.
    """

    data: str
    method: str
    error: float | None
    note: str
    parameters: str | None
    model: str | None
    source: str
    read: bool


Row = tuple[str, str, float]
"""A data set, a line of its table, and the error by which our lines are sorted."""


def write_page(page: Path = PAGE) -> Path:
    """Write all tables into the page."""
    page.write_text(fill(page.read_text()))
    return page


def fill(text: str) -> str:
    """The page with its tables made anew."""
    tables = {"scratch": records("scratch"), "pretrained": records("pretrained"), "ours": ours()}
    return BLOCK.sub(
        lambda block: (
            f"<!-- records: {block[1]}, made by docs/fill.py -->\n{tables[block[1]]}\n<!-- end of records -->"
        ),
        text,
    )


def records(kind: str) -> str:
    """The records of a class, a table for each data set."""
    entries = json.loads((DOCS / "records.json").read_text())["records"]
    rows: list[Row] = [(entry["data"], _record(entry), 0.0) for entry in entries if entry["class"] == kind]
    return _tables(HEAD, rows)


def _tables(head: Sequence[str], rows: Sequence[Row]) -> str:
    parts = []
    for data in dict.fromkeys(row[0] for row in rows):
        parts += [f"### {data}", "", *head, *(line for other, line, _ in rows if other == data), ""]
    return "\n".join(["", *parts])


def _record(record: Record) -> str:
    error = "not read" if record["error"] is None else f"{record['error']:g} %"
    without, decoder = record["parameters"] or "", ""
    if record["model"] is not None:
        with on_meta():
            model = create_model(record["model"])
        drawing = count_decoder(model)
        without, decoder = f"{count_parameters(model) - drawing:,}", f"{drawing:,}" if drawing else "none"
    status = "read" if record["read"] else "cited, not read"
    return (
        f"| {record['method']} | {error} | {record['note']} | {without} | {decoder} | {record['source']} | {status} |"
    )


def ours() -> str:
    """The results of this package: rows of studies, and single runs."""
    return _tables(OURS, sorted([*_studies(), *_runs()], key=lambda row: (row[0], row[2])))


def _studies() -> list[Row]:
    """The rows of all studies; rows of one configuration and equal errors are one row that names all their studies."""
    first: dict[tuple[str, ...], tuple[Table, RowEntry]] = {}
    links: dict[tuple[str, ...], list[str]] = {}
    for path in sorted((DOCS / "studies").glob("*/table.json")):
        table: Table = json.loads(path.read_text())
        for entry in table["rows"]:
            if entry["mean"] is None or entry["parameters"] is None or "networks" in entry:
                continue
            config = (path.parent / "runs" / f"{entry['name']}-seed{entry['seeds'][0]}" / "config.json").read_text()
            key = (config, *map(str, entry["errors"]))
            first.setdefault(key, (table, entry))
            links.setdefault(key, []).append(f"[{table['study']}](studies/{table['study']}.md)")
    return [_study_row(*pair, ", ".join(links[key])) for key, pair in first.items()]


def _study_row(table: Table, entry: RowEntry, links: str) -> Row:
    assert entry["mean"] is not None
    assert entry["parameters"] is not None
    run = Run.open(DOCS / "studies" / table["study"] / "runs" / f"{entry['name']}-seed{entry['seeds'][0]}")
    error = format_errors(entry["errors"])
    label = entry["label"]
    if run.config.model.name in ("capsnet", "capsnet-authors") and "CapsNet" not in label:
        # what follows a colon explains the row on the study's own page
        label = f"CapsNet, {label.partition(':')[0]}"
    line = (
        f"| {label} | {error} | {entry['n']} | {_split(entry['parameters'], entry.get('decoder_parameters'))} "
        f"| {table['schedule'].split(';')[0]} | {links} |"
    )
    return _title(run.config.data.name), line, entry["mean"]


def _runs() -> list[Row]:
    rows: list[Row] = []
    for path in sorted((DOCS / "runs").glob("*/evaluation.json")):
        run = Run.open(path.parent)
        result = run.evaluation()
        if result is None:
            continue
        if "parameters" not in result:
            # an older run; all runs kept here have the image size of their model
            with on_meta():
                result["parameters"] = count_parameters(create_model(run.config.model.name, **run.config.model.options))
        test = Evaluation.from_dict(result["test"])
        drawing = count_drawing(run.config, result)
        name = "CapsNet" if run.config.model.name == "capsnet" else run.config.model.name
        rows.append(
            (
                _title(run.config.data.name),
                f"| {name} | {test.error_percent:.2f} % | 1 | {_split(result['parameters'], drawing)} "
                f"| {result['step']:,} steps of {run.config.optimizer.batch_size} "
                f"| `{run.folder.name}`, by the recipe [{run.config.run.recipe}]({RUNS}) |",
                test.error_percent,
            )
        )
    return rows


def _title(data: str) -> str:
    return TITLES.get(data, data)


def _split(total: int, drawing: int | None) -> str:
    if drawing is None:
        return f"{total:,} with decoder | not counted"
    return f"{total - drawing:,} | {f'{drawing:,}' if drawing else 'none'}"


if __name__ == "__main__":
    print(write_page())

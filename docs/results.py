"""The tables of results in README.md, from docs/runs and docs/studies."""

import json
import re
import tomllib
from pathlib import Path

from capsnet.inference import Evaluation
from capsnet.recipes import RECIPES
from capsnet.runs import Run
from capsnet.studies import STUDIES, Table

ROOT = Path(__file__).parents[1]
STUDY_FOLDER = ROOT / "docs" / "studies"
RESULTS = "<!-- results: made by docs/fill.py from docs/runs and docs/studies -->", "<!-- end of results -->"
TABLES = "<!-- tables: made by docs/fill.py from docs/studies -->", "<!-- end of tables -->"
# the tables of the two READMEs that people come from, and what their rows are called here
READMES = {"capsnet-keras-table": "CapsNet-Keras, README of 2017", "capsnet-project-table": "CapsNet_Project"}
NOT_RUN = "not yet run in full"
HEAD = (
    "| network and schedule | its source reports | test error here | weights tested | training |\n|---|---|---|---|---|"
)


def results() -> str:
    """First the rows of the two READMEs, then each run that is kept in the repository."""
    folders = sorted(path.parent for path in (ROOT / "docs" / "runs").glob("*/evaluation.json"))
    rows = [line for study, name in READMES.items() for line in readme_rows(study, name, STUDY_FOLDER)]
    return "\n".join([HEAD, *rows, *map(run_row, folders)])


def readme_rows(study: str, name: str, folder: Path) -> list[str]:
    """The rows of a README's table with what was reached here, or that they were not run at their own length."""
    path = folder / study / "table.json"
    table: Table | None = json.loads(path.read_text()) if path.is_file() else None
    reached = {row["name"]: row for row in table["rows"]} if table is not None else {}
    lines = []
    for row in STUDIES.get(study).rows:
        epochs = RECIPES.get(row.recipe).config.optimizer.epochs
        entry, here, weights, training = reached.get(row.name), NOT_RUN, "", ""
        if table is not None and entry is not None and entry["mean"] is not None:
            seeds = f"{entry['n']} seed{'' if entry['n'] == 1 else 's'}"
            assert entry["interval"] is not None
            low, high = entry["interval"]
            here = f"{entry['mean']:.2f} % ({low:.2f} to {high:.2f}), {seeds}"
            if table["budget"] != "full":
                here += f", {table['schedule'].split(';')[0]}; {NOT_RUN}"
            weights, training = "last step", ", ".join(table["machines"])
        lines.append(f"| {name}: {row.label}, {epochs} epochs | {row.reported} | {here} | {weights} | {training} |")
    return lines


def run_row(folder: Path) -> str:
    """One run as a row of the table."""
    run = Run.open(folder)
    result, environment = run.evaluation(), run.environment()
    assert result is not None
    assert environment is not None
    test = Evaluation.from_dict(result["test"])
    low, high = test.error_interval
    recipe = RECIPES.get(run.config.run.recipe)
    rows = run.metrics()
    epochs = result["step"] / (rows[-1]["step"] / rows[-1]["epoch"])
    length = f"{epochs:g} epoch{'' if epochs == 1 else 's'}"
    own = recipe.config.optimizer.epochs
    if own is not None and epochs < own:
        length += f" of its {own}"
    cores = f"{environment['threads']} core{'' if environment['threads'] == 1 else 's'}"
    machine = f"{environment['processor']}, {cores}, {environment['precision']}"
    training = f"{result['seconds'] / 60:.1f} min, {result['images_per_second']:,.0f} images/s, {machine}"
    reported = "" if recipe.reported.startswith("no number") else recipe.reported
    weights = "best on validation" if "validation" in result else "last step"
    return (
        f"| `{run.config.run.recipe}`, {length}, 1 seed | {reported} "
        f"| {test.error_percent:.2f} % ({low:.2f} to {high:.2f}) of {test.n:,} | {weights} "
        f"| {training}, {str(environment['date'])[:10]}, commit {environment['commit']} |"
    )


def studies(link: str) -> str:
    """The papers' tables that were run, and the budget behind each.

    Args:
        link: folder of the studies' pages, relative to the document.
    """
    lines = ["| table | budget | what was trained | seeds |", "|---|---|---|---|"]
    for path in sorted(STUDY_FOLDER.glob("*/table.json")):
        table: Table = json.loads(path.read_text())
        name, seeds = table["study"], max(row["n"] for row in table["rows"])
        summary = STUDIES.get(name).summary
        lines.append(f"| [{name}]({link}{name}.md): {summary} | {table['budget']} | {table['schedule']} | {seeds} |")
    return "\n".join(lines)


def put(text: str, marks: tuple[str, str], table: str) -> str:
    """A document with a table between two marks."""
    begin, end = marks
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{table}\n{end}{after}"


def publish_links(text: str, project: Path) -> str:
    """A document with absolute links if `pyproject.toml` names the repository, else as it is.

    Args:
        text: Markdown.
        project: `pyproject.toml`, with `Repository` in `[project.urls]` once the project has an address.
    """
    urls = tomllib.loads(project.read_text())["project"].get("urls", {})
    return absolute_links(text, urls["Repository"]) if "Repository" in urls else text


def absolute_links(text: str, address: str, branch: str = "main") -> str:
    """A document whose links to files of the repository are absolute, so that they also work on PyPI.

    Args:
        text: Markdown; links of it are relative to the repository, or absolute already.
        address: of the repository, such as https://github.com/owner/name.
        branch: that is linked to.
    """
    page = re.compile(r"(?<!!)(\[[^\]]*\])\((?!https?:|#)([^)\s]+)\)")
    picture = re.compile(r"(!\[[^\]]*\])\((?!https?:)([^)\s]+)\)")
    text = picture.sub(rf"\1({address}/raw/{branch}/\2)", text)
    return page.sub(rf"\1({address}/blob/{branch}/\2)", text)

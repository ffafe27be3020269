"""Write what is made of measurements: the tables of README.md, pages of studies and routings, pictures of the last run.

No number is typed by hand. Weights and figures of a run are not kept in the repository, so pictures change only where
`capsnet report docs/runs/NAME` was run before.
"""

import json
import shutil
from pathlib import Path

import records
import routing_pages
import routing_pictures
import speed
from study_pages import write_pages

from capsnet.inference import Evaluation
from capsnet.recipes import RECIPES
from capsnet.runs import Run

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- results: made by docs/fill.py from docs/runs -->", "<!-- end of results -->"
PICTURES = ("curves", "reconstructions", "manipulate-5", "confusion", "coupling", "structure")
HEAD = (
    "| run | test error, best on validation | last step | n | training | machine | commit |\n"
    "|---|---|---|---|---|---|---|"
)


def row(folder: Path) -> str:
    """One run as a row of the table."""
    run = Run.open(folder)
    result, environment = run.evaluation(), run.environment()
    assert result is not None
    assert environment is not None
    parts = {name: Evaluation.from_dict(result[name]) for name in ("test", "test_last")}
    low, high = parts["test"].error_interval
    epochs = result["step"] / max(steps(folder), 1)
    cores = f"{environment['threads']} core{'' if environment['threads'] == 1 else 's'}"
    machine = f"{environment['processor']}, {cores}, {environment['precision']}"
    reported = ""
    if run.config.recipe in RECIPES:
        reported = f"<br>source: {RECIPES.get(run.config.recipe).reported}"
    return (
        f"| `{run.config.recipe}`, {epochs:g} epoch{'' if epochs == 1 else 's'}, 1 seed{reported} "
        f"| {parts['test'].error_percent:.2f} % ({low:.2f} to {high:.2f}) | {parts['test_last'].error_percent:.2f} % "
        f"| {parts['test'].n:,} | {result['seconds'] / 60:.1f} min, {result['images_per_second']:,.0f} images/s "
        f"| {machine} | {environment['commit']} |"
    )


def steps(folder: Path) -> float:
    """Steps of an epoch of a run."""
    last = Run.open(folder).metrics()[-1]
    return last["step"] / last["epoch"]


def main() -> None:
    """Fill the table."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    folders = sorted(path.parent for path in (ROOT / "docs" / "runs").glob("*/evaluation.json"))
    table = "\n".join([HEAD, *(row(folder) for folder in folders)])
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    readme.write_text(speed.fill(f"{before}{BEGIN}\n{table}\n{END}{after}"))
    for name in PICTURES:
        if (picture := folders[-1] / "figures" / f"{name}.png").is_file():
            shutil.copyfile(picture, ROOT / "docs" / "pictures" / picture.name)
    print(json.dumps([folder.name for folder in folders]))
    print(json.dumps([page.name for page in (*write_pages(), records.write_page())]))
    routing_pictures.main()
    print(json.dumps([page.name for page in routing_pages.write_pages()]))


if __name__ == "__main__":
    main()

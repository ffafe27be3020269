"""Write the table of results in README.md from the run folders in docs/runs: no number is typed by hand."""

import json
from pathlib import Path

from capsnet.recipes import RECIPES
from capsnet.training import Evaluation, Run

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- results: made by docs/fill.py from docs/runs -->", "<!-- end of results -->"
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
    machine = f"{environment['processor']}, {environment['threads']} cores, {environment['precision']}"
    reported = ""
    if run.config.recipe in RECIPES:
        reported = f"<br>source: {RECIPES.get(run.config.recipe).reported}"
    return (
        f"| `{run.config.recipe}`, {epochs:g} epochs, 1 seed{reported} "
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
    readme.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")
    print(json.dumps([folder.name for folder in folders]))


if __name__ == "__main__":
    main()

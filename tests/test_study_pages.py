"""Pages of studies: prose with the numbers of a table."""

import importlib.util
import json
from pathlib import Path

import pytest

from capsnet.studies import STUDIES, make_table
from capsnet.studies.markdown import to_markdown
from capsnet.studies.study import plan

DOCS = Path(__file__).parents[1] / "docs"
SPEC = importlib.util.spec_from_file_location("study_pages", DOCS / "study_pages.py")
pages = importlib.util.module_from_spec(SPEC)
# its own imports lie beside it
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(DOCS))
    SPEC.loader.exec_module(pages)


def table(name, errors, p):
    """As if every row had these errors, and each comparison this p."""
    made = make_table(name, "quick", [], "capsnet reproduce")
    values = {"n": len(errors), "errors": errors, "mean": sum(errors) / len(errors), "std": 0.1, "interval": [1.0, 2.0]}
    made["rows"] = [{**row, **values, "parameters": 8, "seconds": 1.0} for row in made["rows"]]
    entries = [
        {
            "row": pair.row,
            "other": pair.other,
            "difference": -0.4,
            "seeds": [0, 1],
            "pooled": True,
            "p": p,
            "least": 0.5,
            "differs": p is not None and p < 0.01,
        }
        for pair in STUDIES.get(name).comparisons
    ]
    return {**made, "comparisons": entries}


@pytest.mark.parametrize("name", STUDIES.names())
@pytest.mark.parametrize(
    ("p", "said"),
    [(0.001, "by 0.40 points (p = 0.001)"), (0.2, "** (-0.40 points, p = 0.2)"), (None, "cannot be tested")],
)
def test_page_of_every_study_is_filled(name, p, said, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    found = table(name, [1.5, 1.7], p)
    (folder / "table.md").write_text(to_markdown(found))
    text = pages.fill(found, (DOCS / "studies" / "pages" / f"{name}.md").read_text(), folder)
    assert "{" not in text
    concluded = text.split("## What can be concluded")[1]
    assert said in concluded or not found["comparisons"]
    assert f"## {name}, quick budget" in text
    assert f"({name}/figure.png)" in text
    # lowest and highest are equal here: one number
    assert "1.60 %" in concluded
    assert "1.60 to" not in concluded


def test_page_says_where_runs_ended_and_on_which_data():
    made = table("sabour2017-affnist", [1.5, 1.7], 0.2)
    ends = {"clean_mean": 9.5, "stop_at": 0.9, "held_out": 1000}
    made["rows"] = [{**row, **ends, "reached": reached} for row, reached in zip(made["rows"], (2, 1), strict=True)]
    assert "The clean errors are 9.50 % (CNN) and 9.50 % (CapsNet" in pages.clean(made)
    assert "1 of the runs did not reach an accuracy of 90 %" in pages.clean(made)
    assert pages.data(made) == "The test images are affNIST's own."
    words = STUDIES.get("sabour2017-affnist").stand_in.words
    assert pages.data({**made, "stand_in": words}).startswith("affNIST's own file was missing.")


def test_page_says_what_networks_together_gain():
    made = table("sabour2017-cifar10", [30.0, 32.0], None)
    made["rows"][1] = {**made["rows"][1], "mean": 28.5}
    assert pages.together(made) == "The error of the ensemble is 2.50 points lower than the mean error of its members."


LANDED = sorted(path.parent for path in (DOCS / "studies").glob("*/table.json"))


@pytest.mark.parametrize("folder", LANDED, ids=lambda folder: folder.name)
def test_table_in_the_repository_repeats_from_its_run_folders(folder):
    made = json.loads((folder / "table.json").read_text())
    seeds = max(row["n"] for row in made["rows"])
    study, changes = STUDIES.get(made["study"]), made["changes"]
    if "stand_in" in made:
        assert study.stand_in is not None
        changes = {"data": study.stand_in.other, **changes}
    tasks = plan(study, made["budget"], seeds, folder, changes)
    repeated = make_table(made["study"], made["budget"], tasks, made["command"], made["changes"])
    assert json.loads(json.dumps(repeated)) == made


@pytest.mark.parametrize("folder", LANDED, ids=lambda folder: folder.name)
def test_page_in_the_repository_is_the_one_that_is_made(folder):
    made, name = json.loads((folder / "table.json").read_text()), folder.name
    prose = (DOCS / "studies" / "pages" / f"{name}.md").read_text()
    assert (folder / "table.md").read_text() == to_markdown(made)
    assert pages.fill(made, prose, folder) == (DOCS / "studies" / f"{name}.md").read_text()

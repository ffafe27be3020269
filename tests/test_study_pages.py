"""Pages of studies: prose with the numbers of a table."""

import importlib.util
from pathlib import Path

import pytest

from capsnet.studies import STUDIES, make_table
from capsnet.studies.table import to_markdown

DOCS = Path(__file__).parents[1] / "docs"
SPEC = importlib.util.spec_from_file_location("study_pages", DOCS / "study_pages.py")
pages = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(pages)


def table(name, errors, p):
    """As if every row had these errors, and each comparison this p."""
    made = make_table(name, "quick", [], "capsnet reproduce")
    values = {"n": len(errors), "errors": errors, "mean": sum(errors) / len(errors), "std": 0.1, "interval": [1.0, 2.0]}
    made["rows"] = [{**row, **values, "parameters": 8, "seconds": 1.0} for row in made["rows"]]
    entries = [
        {"row": pair.row, "other": pair.other, "difference": -0.4, "p": p, "differs": p is not None and p < 0.01}
        for pair in STUDIES.get(name).comparisons
    ]
    return {**made, "comparisons": entries}


@pytest.mark.parametrize("name", STUDIES.names())
@pytest.mark.parametrize(
    ("p", "said"), [(0.001, "0.40 points less error"), (0.2, "no difference is shown"), (None, "untested")]
)
def test_page_of_every_study_is_filled(name, p, said, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    found = table(name, [1.5, 1.7], p)
    (folder / "table.md").write_text(to_markdown(found))
    text = pages.fill(found, (DOCS / "studies" / "pages" / f"{name}.md").read_text(), folder)
    assert "{" not in text
    assert said in text or not found["comparisons"]
    assert f"## {name}, quick budget" in text
    assert f"({name}/figure.png)" in text
    assert "1.60 to 1.60 %" in text

"""The notebooks run, and what is shown came from the sources."""

import json
import re
from pathlib import Path

import matplotlib.pyplot
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"
SOURCES = sorted(NOTEBOOKS.glob("*.py"))
# a notebook trains for half a minute; a test does not
SHORT = {"EPOCHS = 12": "EPOCHS = 1", "STEPS = 250": "STEPS = 10", "limit=200": "limit=10", "limit=100": "limit=10"}


def cells(path: Path) -> list[dict]:
    return json.loads(path.with_suffix(".ipynb").read_text())["cells"]


def name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_notebook_shows_what_its_source_gave(source):
    # the head of the file, then cells
    parts = re.split(r"^# %%.*\n", source.read_text(), flags=re.MULTILINE)[1:]
    shown = cells(source)
    assert len(parts) == len(shown)
    for part, cell in zip(parts, shown, strict=True):
        text = re.sub(r"^# ?", "", part, flags=re.MULTILINE) if cell["cell_type"] == "markdown" else part
        assert "".join(cell["source"]).strip() == text.strip()
        assert cell["cell_type"] == "markdown" or cell["execution_count"] is not None


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_notebook_has_small_outputs_and_no_faults(source):
    outputs = [output for cell in cells(source) for output in cell.get("outputs", [])]
    assert outputs
    assert all(output["output_type"] != "error" for output in outputs)
    assert all(len("".join(output.get("data", {}).get("image/png", ""))) < 4 / 3 * 200_000 for output in outputs)
    assert source.with_suffix(".ipynb").stat().st_size < 600_000


@pytest.mark.parametrize("written", SHORT)
def test_what_a_test_shortens_is_written_in_a_notebook(written):
    assert any(written in source.read_text() for source in SOURCES)


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_notebook_runs(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    matplotlib.pyplot.switch_backend("agg")
    text = source.read_text()
    for written, short in SHORT.items():
        text = text.replace(written, short)
    names: dict[str, object] = {"__name__": "notebook"}
    exec(compile(text, str(source), "exec"), names)
    matplotlib.pyplot.close("all")

import shutil

import pytest

from capsnet.analysis import ANALYSES
from capsnet.errors import UserError
from capsnet.figures import FIGURES, draw_figures
from capsnet.figures.style import MAX_BYTES
from capsnet.runs import Run

PLAIN = ["confusion", "coupling", "curves", "data", "manipulate", "pairs", "reconstructions", "structure"]
KINDS = sorted([*PLAIN, *ANALYSES])
# of a run on single images
DRAWN = {*KINDS, *(f"manipulate-{k}" for k in range(10))} - {"manipulate", "pairs"}


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of the tiny run, without the checkpoint."""
    shutil.copytree(
        tiny_run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("last", "figures", "analysis", "report.html")
    )
    return Run.open(tmp_path / "run")


def test_all_figures_are_registered():
    assert FIGURES.names() == KINDS


def test_every_figure_is_drawn_and_nothing_is_overwritten(run, capsys):
    written = draw_figures(run)
    assert {path.stem for path in written} == DRAWN
    assert sorted(run.figures_folder.iterdir()) == sorted(written)
    assert max(path.stat().st_size for path in written) < MAX_BYTES
    assert capsys.readouterr().err == ""
    before = {path: path.read_bytes() for path in written}
    with pytest.raises(UserError, match="exists; redraw with overwrite=True"):
        draw_figures(run)
    assert before == {path: path.read_bytes() for path in written}


def test_figures_that_need_no_data_are_drawn_when_it_is_gone(run, capsys, undrawn):
    text = (run.folder / "config.json").read_text()
    (run.folder / "config.json").write_text(text.replace('"digits"', '"gone/photos"'))
    written = draw_figures(Run.open(run.folder))
    assert {path.stem for path in written} == {"curves", "confusion", "structure"}
    notices = capsys.readouterr().err.splitlines()
    assert {line.split()[2] for line in notices} == {"manipulate", "reconstructions", "coupling", "data", *ANALYSES}
    assert all("gone/photos" in line for line in notices)


def test_a_run_that_is_not_finished_gives_what_it_has(run, undrawn):
    (run.folder / "evaluation.json").unlink()
    (run.folder / "weights.safetensors").unlink()
    assert [path.stem for path in draw_figures(run)] == ["curves", "data"]


def test_a_run_of_nothing_is_refused(run):
    for name in ("evaluation.json", "weights.safetensors", "metrics.csv"):
        (run.folder / name).unlink()
    text = (run.folder / "config.json").read_text()
    (run.folder / "config.json").write_text(text.replace('"digits"', '"gone/photos"'))
    with pytest.raises(UserError, match="nothing can be drawn yet"):
        draw_figures(Run.open(run.folder))

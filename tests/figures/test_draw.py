import os
import re
import shutil

import pytest
from matplotlib.figure import Figure

from capsnet.analysis import ANALYSES
from capsnet.errors import UserError
from capsnet.figures import FIGURES, draw_figures
from capsnet.figures.draw import draw_missing, plan, render, select
from capsnet.figures.style import MAX_BYTES
from capsnet.runs import Run

PLAIN = ["confusion", "coupling", "curves", "data", "evidence", "manipulate", "pairs", "reconstructions", "structure"]
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


@pytest.fixture
def few_dimensions_drawn(monkeypatch):
    """The figures of the dimensions are built for each class, and made into pixels for the first."""

    def stub(build):
        def figure():
            build()
            return Figure(figsize=(1, 1))

        return figure

    def planned(subject, kinds=()):
        kinds = plan(subject, kinds)
        first, *others = kinds["manipulate"]
        stubs = {name: stub(kinds["manipulate"][name]) for name in others}
        return {**kinds, "manipulate": {first: kinds["manipulate"][first], **stubs}}

    monkeypatch.setattr("capsnet.figures.draw.plan", planned)


def test_every_figure_is_drawn_and_nothing_is_overwritten(analysed_run, few_dimensions_drawn, capsys):
    run = analysed_run
    # an analysis that is missing is made
    (run.folder / "analysis" / "errors.json").unlink()
    written = draw_figures(run)
    assert {path.stem for path in written} == DRAWN
    assert (run.folder / "analysis" / "errors.json").is_file()
    assert sorted(run.figures_folder.iterdir()) == sorted(written)
    assert max(path.stat().st_size for path in written) < MAX_BYTES
    assert capsys.readouterr().err == ""
    before = {path: path.read_bytes() for path in written}
    assert draw_figures(run) == []
    assert before == {path: path.read_bytes() for path in written}


def test_figures_that_need_no_data_are_drawn_when_it_is_gone(run, capsys, undrawn):
    text = (run.folder / "config.json").read_text()
    (run.folder / "config.json").write_text(text.replace('"digits"', '"gone/photos"'))
    written = draw_figures(Run.open(run.folder))
    assert {path.stem for path in written} == {"curves", "confusion", "structure"}
    notices = re.findall("capsnet: figures? (.*) (?:is|are) left out: (.*)", capsys.readouterr().err)
    assert {name for names, _ in notices for name in names.split(", ")} == {
        "manipulate",
        "reconstructions",
        "coupling",
        "data",
        "evidence",
        *ANALYSES,
    }
    # some figures need the data to know their files, others when they are drawn
    assert len(notices) <= 2
    assert all("gone/photos" in reason for _, reason in notices)


def test_a_finished_run_without_its_data_is_not_told_to_continue(run, capsys):
    text = (run.folder / "config.json").read_text()
    (run.folder / "config.json").write_text(text.replace('"digits"', '"gone/photos"'))
    with pytest.raises(UserError, match="none of these figures can be drawn; the reasons are above"):
        draw_figures(Run.open(run.folder), ["reconstructions"])
    assert "gone/photos" in capsys.readouterr().err


def test_a_run_that_is_not_finished_gives_what_it_has(run, undrawn):
    (run.folder / "evaluation.json").unlink()
    (run.folder / "weights.safetensors").unlink()
    assert [path.stem for path in draw_figures(run)] == ["curves", "data"]


def test_a_run_of_nothing_is_refused(run):
    for name in ("evaluation.json", "weights.safetensors", "metrics.csv"):
        (run.folder / name).unlink()
    text = (run.folder / "config.json").read_text()
    (run.folder / "config.json").write_text(text.replace('"digits"', '"gone/photos"'))
    with pytest.raises(UserError, match="nothing can be drawn yet; continue with"):
        draw_figures(Run.open(run.folder))


def test_missing_figures_are_drawn_and_those_that_are_there_kept(run, undrawn):
    run.figures_folder.mkdir()
    (run.figures_folder / "curves.png").write_text("mine")
    drawn = draw_missing(run, ["curves", "confusion"])
    assert [path.stem for path in drawn.written] == ["confusion"]
    assert [path.stem for path in drawn.kept] == ["curves"]
    assert (run.figures_folder / "curves.png").read_text() == "mine"


def test_a_kept_figure_older_than_the_results_is_named(run, undrawn):
    draw_missing(run, ["curves"])
    assert draw_missing(run, ["curves"]).outdated == []
    os.utime(run.figures_folder / "curves.png", (0, 0))
    assert [path.stem for path in draw_missing(run, ["curves"]).outdated] == ["curves"]


@pytest.mark.parametrize(
    ("names", "classes", "files"),
    [
        ([], ["5"], ["manipulate-5"]),
        (["curves", "manipulate"], ["5", "3"], ["curves", "manipulate-5", "manipulate-3"]),
        (["manipulate-7"], [], ["manipulate-7"]),
    ],
)
def test_figures_are_chosen_by_name_and_class(run, undrawn, names, classes, files):
    assert [path.stem for path in draw_figures(run, names, classes=classes)] == files


@pytest.mark.parametrize(
    ("names", "classes", "message"),
    [
        (["curvs"], [], "unknown figure 'curvs'; did you mean 'curves'. Known: curves, reconstructions"),
        (["manipulate"], ["x"], "no figure 'manipulate-x': the run's classes are 0, 1, 2"),
        (["curves"], ["5"], "classes needs the figure manipulate, whose files it selects; add it to curves"),
    ],
)
def test_an_unknown_figure_or_class_is_refused(run, names, classes, message):
    with pytest.raises(UserError, match=message):
        draw_figures(run, names, classes=classes)


def test_a_reason_that_several_figures_share_is_printed_once(capsys):
    def fail(reason):
        def draw():
            raise UserError(reason)

        return draw

    planned = {"a": {"a-1": fail("no data"), "a-2": fail("no decoder")}, "b": {"b": fail("no data")}}
    assert list(render(planned)) == []
    assert capsys.readouterr().err == (
        "capsnet: figures a-1, b are left out: no data\ncapsnet: figure a-2 is left out: no decoder\n"
    )


def test_a_class_is_selected_by_its_name_where_file_names_are_equal():
    drawings = {"manipulate-C": lambda: "C", "manipulate-C-1": lambda: "C#"}
    chosen = select({"manipulate": drawings}, ("manipulate",), ("C#",), ("C", "C#"))
    assert [draw() for draw in chosen["manipulate"].values()] == ["C#"]

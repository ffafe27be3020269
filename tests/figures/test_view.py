import shutil

import pytest

from capsnet.errors import UserError
from capsnet.figures import show, show_figure, show_figures, write_report
from capsnet.runs import Run


@pytest.fixture
def run(tiny_run, tmp_path):
    left = shutil.ignore_patterns("last", "figures", "analysis", "report.html")
    return Run.open(shutil.copytree(tiny_run.folder, tmp_path / "<run>", ignore=left))


def test_notebook_shows_name_error_interval_curves_and_how_to_see_more(run):
    page = show(run)._repr_html_()
    assert "<b>&lt;run&gt;</b>: capsnet-tiny on digits" in page
    assert f"test error <b>{run.evaluation()['test']['error_percent']:.2f} %</b> of 359 images (95 % interval" in page
    assert '<img alt="curves"' in page
    assert ".report()" in page


def test_notebook_says_where_the_report_is(run):
    (run.folder / "report.html").touch()
    assert "&lt;run&gt;/report.html</code>" in show(run)._repr_html_()


def test_notebook_shows_a_run_that_is_not_finished(run):
    (run.folder / "evaluation.json").unlink()
    (run.folder / "metrics.csv").unlink()
    page = show(run)._repr_html_()
    assert "not finished" in page
    assert "no learning curves: metrics.csv has no rows yet" in page


def test_figures_are_those_that_the_command_draws(run, monkeypatch):
    monkeypatch.setattr("capsnet.figures.view.to_png", lambda figure: b"pixels")
    figures = show_figures(run)
    assert {"curves", "confusion", "reconstructions", "manipulate-3", "coupling", "structure"} <= set(figures)
    assert figures["manipulate-3"].png == b"pixels"
    assert "dimension" in figures["manipulate-3"].caption


def test_one_figure_is_a_picture_and_an_unknown_one_a_clear_fault(run):
    assert show_figure(run, "confusion")._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="did you mean 'curves'"):
        show_figure(run.folder, "curve")


def test_report_is_written_once(run, monkeypatch):
    monkeypatch.setattr("capsnet.figures.report.plan", lambda subject: {})
    monkeypatch.setattr("capsnet.figures.report._records", lambda subject: ({}, {}))
    assert write_report(run) == run.folder / "report.html"
    with pytest.raises(UserError, match="exists"):
        show(run).report()
    assert show(run.folder).report(overwrite=True).is_file()


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such run folder"):
        show(tmp_path / "nothing")

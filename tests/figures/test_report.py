import json
import re
import shutil
from dataclasses import replace
from html import escape

import pytest

from capsnet.analysis import ANALYSES
from capsnet.analysis.record import read_record
from capsnet.cli import main
from capsnet.errors import UserError
from capsnet.figures.draw import plan
from capsnet.figures.report import build_page, write_report
from capsnet.recipes import RECIPES
from capsnet.runs import Run

QUICKSTART = RECIPES.get("quickstart").config


@pytest.fixture
def run(tiny_run, tmp_path):
    shutil.copytree(
        tiny_run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("last", "figures", "analysis", "report.html")
    )
    return Run.open(tmp_path / "run")


def few(subject):
    """Three of the figures: drawing all is tested beside `draw_figures`."""
    planned = plan(subject)
    dimensions = dict(list(planned["manipulate"].items())[:2])
    return {"curves": planned["curves"], "manipulate": dimensions}


def test_report_holds_everything_in_one_file(run, undrawn, monkeypatch):
    monkeypatch.setattr("capsnet.figures.report.plan", few)
    path = write_report(run)
    text = path.read_text()
    assert f"{run.evaluation()['test']['error_percent']:.2f} %" in text
    assert text.count("data:image/png;base64,") == 3
    assert not re.search(r"<script|https?://|url\(|<link", text)
    assert re.search("capsnet train quickstart .*--model capsnet-tiny", text)
    with pytest.raises(UserError, match=r"report.html exists; overwrite=True replaces it"):
        write_report(run)
    assert path.read_text() == text
    # no part of a file is left behind; the lock is that of training
    assert {child.name for child in run.folder.iterdir() if child.name.startswith(".")} <= {".lock"}


def test_the_command_line_refuses_to_overwrite_a_report(run, capsys):
    (run.folder / "report.html").write_text("mine")
    assert main(["report", str(run.folder)]) == 2
    assert "report.html exists; " in capsys.readouterr().err
    assert (run.folder / "report.html").read_text() == "mine"


def test_each_analysis_is_a_section_with_number_figure_and_caution(analysed_run, undrawn, monkeypatch):
    run = analysed_run
    monkeypatch.setattr("capsnet.figures.report.plan", lambda subject: {name: plan(subject)[name] for name in ANALYSES})
    text = write_report(run).read_text()
    for name in ANALYSES.names():
        record, analysis = read_record(run, name), ANALYSES.get(name)
        assert f"<h2>{analysis.title}</h2>" in text
        assert escape(analysis.say(record["results"])) in text
        assert escape(analysis.caution) in text
        assert f"analysis/{name}.json. A small sample" in text
    assert text.count("data:image/png;base64,") == len(ANALYSES.names())
    assert "Analyses left out" not in text


def test_an_analysis_that_is_left_out_says_why(run):
    text = build_page(run, {}, {}, {"samples": "the model has no <decoder>"})
    assert "Analyses left out" in text
    assert "the model has no &lt;decoder&gt;" in text


def test_a_recipe_s_own_number_stands_beside_ours(run):
    run = replace(run, config=QUICKSTART.change(epochs=1))
    text = build_page(run, {})
    assert "at least 99 % on 359 held-out digits" in text
    assert f"epochs 1 instead of {QUICKSTART.optimizer.epochs}" in text


def test_a_recipe_s_number_is_said_to_be_of_other_data(run):
    page = build_page(replace(run, config=QUICKSTART.change(data="mnist", model="capsnet")), {})
    assert "(of other data or another model)" in page
    assert "(of other data or another model)" not in build_page(replace(run, config=QUICKSTART.change(epochs=1)), {})


def test_a_run_that_is_not_finished_says_so(run):
    (run.folder / "evaluation.json").unlink()
    assert "not finished" in build_page(run, {})


def test_names_are_escaped(run):
    run = replace(run, config=run.config.change(data="<img src=x>"))
    assert "<img src=x>" not in build_page(run, {})


def test_epochs_stand_in_a_table_and_the_one_that_was_kept_is_marked(run):
    rows = run.metrics()
    text = build_page(run, {})
    assert text.count("<td>selected</td>") == 1
    last = next(row for row in reversed(rows) if "validation_loss" in row)
    assert f"<td>{last['validation_loss']:.4f}</td><td>{100 * last['validation_accuracy']:.2f} %</td>" in text


def test_a_network_that_has_only_begun_to_learn_is_said_to_be_one(run):
    path = run.folder / "evaluation.json"
    result = json.loads(path.read_text())
    pages = []
    for accuracy in (0.3, 0.9):
        result["test"] |= {"accuracy": accuracy}
        path.write_text(json.dumps(result))
        pages.append(build_page(run, {}))
    assert "its test accuracy is 30.00 %; always predicting the most frequent" in pages[0]
    assert "barely trained" not in pages[1]


def test_the_number_of_images_learned_from_counts_the_limit(run):
    count = json.loads((run.folder / "splits.json").read_text())["counts"]["train"]
    for limit, learned in ((None, count), (100, 100)):
        page = build_page(replace(run, config=run.config.change(limit=limit)), {})
        assert f"Trained on {learned:,} images" in page

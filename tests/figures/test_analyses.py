import json
import shutil
from dataclasses import replace

import pytest

from capsnet.analysis import ANALYSES
from capsnet.analysis.record import analysis_path, read_record
from capsnet.errors import UserError
from capsnet.figures.analyses import in_order, write_analyses
from capsnet.figures.subject import Subject
from capsnet.runs import Run


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of the tiny run, without the checkpoint."""
    left = shutil.ignore_patterns("last", "figures", "analysis", "report.html")
    shutil.copytree(tiny_run.folder, tmp_path / "run", ignore=left)
    return Run.open(tmp_path / "run")


def test_each_analysis_writes_its_numbers_and_its_figure(run, undrawn):
    done = write_analyses(run, ["routing", "errors", "routing"], limit=30, seed=4)
    assert list(done.records) == ["routing", "errors"]
    assert [path.relative_to(run.folder).as_posix() for path in done.files] == [
        "analysis/routing.json",
        "analysis/errors.json",
        "figures/routing.png",
        "figures/errors.png",
    ]
    record = json.loads(done.files[0].read_text())
    assert (record["n"], record["seed"], record["quick"]) == (30, 4, False)
    assert record == done.records["routing"]


def test_results_are_not_overwritten_but_those_of_a_report_are(run, undrawn):
    assert Subject(run).record("errors")["quick"]
    write_analyses(run, ["errors"], limit=30)
    assert read_record(run, "errors")["quick"] is False
    before = analysis_path(run, "errors").read_bytes()
    with pytest.raises(UserError, match=r"errors.json holds a result for 30 images, seed 0; this one would use 20 "):
        write_analyses(run, ["capsules", "errors"], limit=20)
    assert analysis_path(run, "errors").read_bytes() == before
    assert read_record(run, "capsules") is None


def test_a_result_of_more_images_is_kept_beside_the_one_that_replaces_it(run, undrawn, capsys):
    (kept,) = write_analyses(run, ["errors"], limit=30).records.values()
    assert write_analyses(run, ["errors"], limit=20, overwrite=True).records["errors"]["n"] == 20
    (beside,) = (run.folder / "analysis").glob("errors-n30-*.json")
    assert json.loads(beside.read_text()) == kept
    assert f"the earlier errors for 30 images is kept as {beside}" in capsys.readouterr().err


def test_a_result_that_is_wanted_again_is_kept_and_the_missing_one_is_made(run, undrawn, capsys):
    write_analyses(run, ["errors"], limit=30)
    before = analysis_path(run, "errors").read_bytes()
    done = write_analyses(run, ["capsules", "errors"], limit=30)
    assert [path.name for path in done.files] == ["capsules.json", "capsules.png"]
    assert analysis_path(run, "errors").read_bytes() == before
    assert "errors already exists, for 30 images; it is kept" in capsys.readouterr().err


def test_a_report_of_earlier_results_is_named(run, undrawn, capsys):
    (run.folder / "report.html").write_text("of 30 images")
    write_analyses(run, ["errors"], limit=20)
    assert "report.html shows the earlier results; update it with capsnet report" in capsys.readouterr().err


def test_a_picture_of_unknown_origin_is_kept(run):
    run.figures_folder.mkdir()
    (run.figures_folder / "errors.png").write_text("mine")
    with pytest.raises(UserError, match=r"errors.png exists"):
        write_analyses(run, ["errors"], limit=5)
    assert (run.figures_folder / "errors.png").read_text() == "mine"


def test_a_report_takes_kept_results_of_the_same_weights_only(run, undrawn, capsys):
    write_analyses(run, ["errors"], limit=30)
    assert Subject(run).record("errors")["n"] == 30
    record = read_record(run, "errors")
    analysis_path(run, "errors").write_text(json.dumps({**record, "weights": "0" * 16}))
    capsys.readouterr()
    assert Subject(run).record("errors")["quick"]
    assert "was computed with other weights; capsnet analyse --overwrite recomputes it" in capsys.readouterr().err
    assert read_record(run, "errors")["weights"] == "0" * 16


def test_what_a_model_does_not_allow_is_left_out_with_its_reason(run, undrawn, capsys, monkeypatch):
    load_model = Run.load_model

    def without_decoder(self):
        model = load_model(self)
        model.decoder = None
        return model

    monkeypatch.setattr(Run, "load_model", without_decoder)
    done = write_analyses(run, ["samples", "errors"], limit=20)
    assert done.left_out == {"samples": "the model has no decoder"}
    assert list(done.records) == ["errors"]
    assert "samples is left out: the model has no decoder" in capsys.readouterr().err
    with pytest.raises(UserError, match="nothing can be analysed"):
        write_analyses(run, ["samples"])


def test_a_run_without_weights_is_refused(run):
    run.weights_path.unlink()
    with pytest.raises(UserError, match="has no weights yet"):
        write_analyses(run, ["errors"])
    with pytest.raises(UserError, match="has no weights yet"):
        Subject(replace(run)).record("errors")


def test_every_analysis_has_a_place_in_the_report():
    assert sorted(in_order()) == ANALYSES.names()

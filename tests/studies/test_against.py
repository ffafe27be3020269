import json
import shutil

import pytest
import torch

from capsnet.errors import UserError
from capsnet.inference.predictions import FILE, Predictions
from capsnet.runs import Run
from capsnet.studies.against import PairedTest, compare_predictions, compare_runs

LABELS = torch.tensor([0, 1, 2, 3, 4])


def answers(*predicted, labels=LABELS, files=""):
    return Predictions(labels, torch.tensor(predicted), files)


def copy(run, folder):
    shutil.copytree(run.folder, folder)
    return Run.open(folder)


def test_images_are_counted_by_who_is_correct():
    test = compare_predictions(answers(0, 1, 2, 0, 0), answers(0, 1, 0, 3, 1))
    assert test == PairedTest(n=5, both=2, only_first=1, only_second=1)
    assert test.neither == 1


def test_difference_is_that_of_the_test_errors():
    # errors 1 - 997/1000 and 1 - 994/1000
    assert PairedTest(1000, 992, 5, 2).difference == pytest.approx(0.3 - 0.6)


def test_lower_error_is_named_only_where_chance_does_not_explain_it():
    assert "second has the lower error" in " ".join(PairedTest(100, 80, 1, 15).describe("first", "second"))
    assert "no significant difference" in " ".join(PairedTest(100, 80, 5, 9).describe("first", "second"))


def test_a_run_equals_itself(tiny_run):
    test = compare_runs(tiny_run, tiny_run)
    assert (test.only_first, test.only_second, test.p_value) == (0, 0, 1.0)
    assert test.n == 359


def test_run_of_an_older_version_is_tested_again(tiny_run, tmp_path):
    old = copy(tiny_run, tmp_path / "old")
    (old.folder / FILE).unlink()
    assert compare_runs(old, tiny_run) == compare_runs(tiny_run, tiny_run)
    old.weights_path.unlink()
    with pytest.raises(UserError, match=r"neither predictions\.safetensors nor weights"):
        compare_runs(old, tiny_run)


@pytest.mark.parametrize(
    "other",
    [
        answers(0, 1, 2, 3, labels=LABELS[:4]),
        answers(0, 1, 2, 3, 4, labels=LABELS.flip(0)),
        answers(0, 1, 2, 3, 4, files="abc"),
    ],
)
def test_other_images_are_refused(other):
    with pytest.raises(UserError, match="tested on different images"):
        compare_predictions(answers(0, 1, 2, 3, 4), other)


def test_runs_of_other_data_are_refused(tiny_run, tmp_path):
    other = copy(tiny_run, tmp_path / "other")
    path = other.folder / "evaluation.json"
    result = json.loads(path.read_text())
    result["test"]["data"] = "mnist"
    path.write_text(json.dumps(result))
    with pytest.raises(UserError, match="tested on digits and mnist"):
        compare_runs(tiny_run, other)


def test_unfinished_run_is_refused(tiny_run, tmp_path):
    other = copy(tiny_run, tmp_path / "other")
    (other.folder / "evaluation.json").unlink()
    with pytest.raises(UserError, match="is not finished; go on with capsnet train --resume"):
        compare_runs(tiny_run, other)


def test_runs_of_pairs_are_refused(tiny_run, tmp_path):
    other = copy(tiny_run, tmp_path / "other")
    path = other.folder / "evaluation.json"
    result = json.loads(path.read_text())
    result["test"]["digit_error_percent"] = 1.0
    path.write_text(json.dumps(result))
    with pytest.raises(UserError, match="was tested on pairs"):
        compare_runs(tiny_run, other)


def test_variants_of_one_image_are_refused(tiny_run, tmp_path):
    other = copy(tiny_run, tmp_path / "other")
    path = other.folder / "evaluation.json"
    result = json.loads(path.read_text())
    result["test"]["originals"] = result["test"]["n"] - 1
    path.write_text(json.dumps(result))
    with pytest.raises(UserError, match="McNemar's test is for independent images"):
        compare_runs(tiny_run, other)

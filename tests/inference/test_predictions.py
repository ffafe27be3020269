import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import capsnet
from capsnet.data import load_data
from capsnet.errors import UserError
from capsnet.inference import predictions as module
from capsnet.inference.evaluate import evaluate_model
from capsnet.inference.predictions import FILE, Predictions, hash_names, read_predictions, write_predictions
from capsnet.runs import Run


@pytest.fixture
def copy(tiny_run, tmp_path):
    shutil.copytree(tiny_run.folder, tmp_path / "copy")
    return Run.open(tmp_path / "copy")


def rewrite(run, change):
    """Change the tensors of a run's predictions, and keep the rest."""
    path = run.folder / FILE
    tensors = change(load_file(path))
    save_file(tensors, path, {"capsnet_predictions": json.dumps({"format_version": 1, "files": ""})})


def test_a_run_keeps_the_answer_for_every_test_image(tiny_run):
    test = load_data("digits").test
    kept = read_predictions(tiny_run)
    with torch.no_grad():
        lengths = capsnet.load(tiny_run.folder)(test.images.float() / 255).lengths
    assert kept.labels.equal(test.labels)
    assert kept.predicted.equal(lengths.argmax(dim=1))
    assert float(kept.correct.float().mean()) == pytest.approx(tiny_run.evaluation()["test"]["accuracy"])


def test_an_image_takes_a_byte(tiny_run):
    assert {str(tensor.dtype) for tensor in load_file(tiny_run.folder / FILE).values()} == {"torch.uint8"}


def test_classes_above_255_take_two_bytes(tmp_path):
    answers = Predictions(torch.tensor([0, 300]), torch.tensor([300, 300]))
    write_predictions(tmp_path, answers, answers)
    assert load_file(tmp_path / FILE)["test"].tolist() == [300, 300]


def test_json_of_an_evaluation_holds_no_predictions(tiny_run):
    result = evaluate_model(capsnet.load(tiny_run.folder), load_data("digits").test, name="digits", split="test")
    assert result.predictions.predicted.shape == (359,)
    assert "predictions" not in result.to_dict()


def test_run_without_the_file_has_none(copy):
    (copy.folder / FILE).unlink()
    assert read_predictions(copy) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: {**tensors, "test": tensors["test"].flip(0)},
        lambda tensors: {name: tensor[:-1] for name, tensor in tensors.items()},
        lambda tensors: {**tensors, "test": tensors["test"] + 10},
        lambda tensors: {**tensors, "test": torch.full_like(tensors["test"], -1, dtype=torch.int16)},
    ],
)
def test_predictions_that_are_not_of_the_evaluation_are_refused(copy, change):
    rewrite(copy, change)
    with pytest.raises(UserError, match=r"does not belong to evaluation\.json"):
        read_predictions(copy)


def test_file_without_a_split_is_refused(copy):
    rewrite(copy, lambda tensors: {"test": tensors["test"]})
    with pytest.raises(UserError, match="must hold labels, test and test_last, got test"):
        read_predictions(copy)


def test_file_of_another_program_is_refused(copy):
    save_file(load_file(copy.folder / FILE), copy.folder / FILE)
    with pytest.raises(UserError, match="does not hold the predictions of a capsnet run"):
        read_predictions(copy)


def test_file_above_the_limit_is_refused(copy, monkeypatch):
    monkeypatch.setattr(module, "_MAX_BYTES", 100)
    with pytest.raises(UserError, match=r"holds [\d,]+ bytes, the limit is 100"):
        read_predictions(copy)


def test_damaged_file_is_refused(copy):
    (copy.folder / FILE).write_bytes(b"\x00" * 64)
    with pytest.raises(UserError, match="not a complete safetensors file"):
        read_predictions(copy)


def test_file_names_and_their_order_have_a_hash_of_their_own():
    assert hash_names(None) == ""
    assert len({hash_names(names) for names in (["a", "b"], ["b", "a"], ["ab"])}) == 3

import importlib
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from tests.conftest import TINY_MASKS

import capsnet
from capsnet.analysis import analyse
from capsnet.data import Dataset, ImageData, load_data
from capsnet.data.mask_folder import MaskFolder
from capsnet.data.pairs import Pairing
from capsnet.data.sequences import SequenceData
from capsnet.errors import UserError
from capsnet.inference.evaluate import (
    Evaluation,
    evaluate_model,
    evaluate_pairs,
    evaluation_batch,
    wilson_interval,
)
from capsnet.inference.mask_evaluation import evaluate_masks
from capsnet.inference.segment import measure_pixels
from capsnet.inference.sequence_evaluation import evaluate_sequences
from capsnet.losses import margin_loss
from capsnet.models import create_segmenter, create_sequence_model
from capsnet.precision import use_precision


@pytest.fixture
def model(tiny_run):
    return capsnet.load(tiny_run.folder)


def test_numbers_are_those_of_a_pass_by_hand(model):
    data = load_data("digits").test.select(torch.arange(50))
    result = evaluate_model(model, data, name="digits", split="test")
    images = data.images.float() / 255
    with torch.no_grad():
        output = model(images)
        drawn = model.reconstruct(output.capsules)
    predicted = output.lengths.argmax(dim=1)
    assert result.n == 50
    assert result.accuracy == pytest.approx(float((predicted == data.labels).float().mean()))
    assert result.margin_loss == pytest.approx(float(margin_loss(output.lengths, data.labels)), rel=1e-5)
    assert result.reconstruction_mse == pytest.approx(float((drawn - images).square().mean()), rel=1e-5)
    table = torch.tensor(result.confusion)
    assert table.sum() == 50
    for true, guess in zip(data.labels.tolist(), predicted.tolist(), strict=True):
        table[true, guess] -= 1
    assert table.eq(0).all()


def test_json_has_the_names_of_the_contract(model):
    values = capsnet.evaluate(model, "digits").to_dict()
    names = "data split n accuracy error_percent margin_loss reconstruction_mse confusion balanced_accuracy"
    assert list(values) == names.split()
    assert values["error_percent"] == pytest.approx(100 * (1 - values["accuracy"]), abs=1e-5)


def test_interval_of_the_error_is_wilsons():
    result = Evaluation("x", "test", 10_000, 1 - 25 / 10_000, 0.0, None, [[0]])
    assert result.error_interval == pytest.approx((0.1694, 0.3687), abs=2e-4)


def test_variants_of_one_image_do_not_narrow_the_interval(model):
    digits = load_data("digits").test.select(torch.arange(6))
    result = evaluate_model(model, replace(digits, originals=2), name="variants", split="test")
    assert result.error_interval == wilson_interval(1 - result.accuracy, 2)
    assert Evaluation.from_dict(result.to_record()).error_interval == result.error_interval
    pairs = [evaluate_pairs(model, digits, Pairing(0, 0, each), name="pairs", split="test") for each in (1, 3)]
    assert [(part.n, part.originals) for part in pairs] == [(6, None), (18, 6)]


def test_classes_are_matched_by_name_not_by_number(model):
    data = load_data("digits").test
    order = torch.tensor([7, 8, 9, 0, 1, 2, 3, 4, 5, 6])
    shuffled = ImageData(data.images, order.argsort()[data.labels], tuple(str(int(k)) for k in order))
    part = Dataset("shuffled", shuffled, shuffled)
    assert capsnet.evaluate(model, part).confusion == capsnet.evaluate(model, "digits").confusion


def test_images_or_classes_that_are_not_the_models_are_refused(model):
    images = torch.zeros(2, 1, 20, 20, dtype=torch.uint8)
    small = ImageData(images, torch.tensor([0, 1]), ("0", "1"))
    with pytest.raises(UserError, match=r"images are 1x20x20 .* the model takes 1x28x28; test it on"):
        capsnet.evaluate(model, Dataset("small", small, small))
    letters = ImageData(torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.tensor([0]), ("a",))
    with pytest.raises(UserError, match="has no class 'a'"):
        capsnet.evaluate(model, Dataset("letters", letters, letters))


def test_unknown_split_is_refused(model):
    with pytest.raises(UserError, match="split must be one of train, validation, test, got 'valid'"):
        capsnet.evaluate(model, "digits", split="valid")


def test_balanced_accuracy_is_the_mean_over_classes_that_have_images():
    result = Evaluation("x", "test", 105, 91 / 105, 0.0, None, [[90, 10, 0], [4, 1, 0], [0, 0, 0]])
    assert result.balanced_accuracy == pytest.approx((0.9 + 0.2) / 2)
    assert result.is_uneven
    assert result.to_dict()["balanced_accuracy"] == result.balanced_accuracy


def test_result_of_an_older_version_is_read():
    old = {"data": "x", "split": "test", "n": 2, "accuracy": 0.5, "error_percent": 50.0}
    old |= {"margin_loss": 0.1, "reconstruction_mse": None, "confusion": [[1, 0], [1, 0]]}
    result = Evaluation.from_dict(old)
    assert (result.n, result.balanced_accuracy, result.files) == (2, 0.5, None)


def test_record_of_a_run_lists_only_mistakes():
    files = (
        {"file": "a/1.png", "label": 0, "prediction": 0, "lengths": [0.9, 0.1]},
        {"file": "b/1.png", "label": 1, "prediction": 0, "lengths": [0.6, 0.5]},
    )
    result = Evaluation("x", "test", 2, 0.5, 0.0, None, [[1, 0], [1, 0]], class_names=("a", "b"), files=files)
    assert result.to_record()["mistakes"] == [files[1]]
    assert "files" not in result.to_record()
    assert Evaluation.from_dict(result.to_dict()) == result


def test_evaluation_batches_are_larger_on_a_gpu():
    images = [
        ImageData(torch.zeros(2, 1, side, side, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b"))
        for side in (28, 280)
    ]
    assert [evaluation_batch(torch.device("cuda"), one) for one in images] == [1024, 128]
    assert [evaluation_batch(torch.device("cpu"), one) for one in images] == [128, 128]


def test_weights_are_evaluated_by_their_name_or_folder(tiny_run):
    result = capsnet.evaluate(tiny_run.folder)
    assert result.accuracy == tiny_run.evaluation()["test"]["accuracy"]
    assert capsnet.evaluate(str(tiny_run.weights_path), "digits").accuracy == result.accuracy


@pytest.fixture
def rounding(monkeypatch):
    """Whether a GPU's settings let each forward pass round its factors; a machine without a GPU has them too."""
    allowed, gpu = [], torch.device("cuda")

    def watch(module, model):
        monkeypatch.setattr(importlib.import_module(module), "use_precision", lambda name, _: use_precision(name, gpu))
        model.register_forward_hook(lambda *_: allowed.append(torch.backends.cudnn.allow_tf32))
        return model

    monkeypatch.setattr("torch.backends.cudnn.allow_tf32", True)
    yield watch
    assert allowed == [False] * len(allowed) != []
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    "module", ["capsnet.inference.evaluate", "capsnet.inference.predict", "capsnet.analysis.record"]
)
def test_gpu_does_not_round_what_is_evaluated_predicted_or_analysed(module, rounding):
    model = rounding(module, capsnet.create_model("capsnet-tiny"))
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    if module.endswith("predict"):
        capsnet.predict(model, images)
        return
    names = [str(number) for number in range(10)]
    data = Dataset.from_arrays(images, torch.tensor([0, 1]), names, test=(images, torch.tensor([0, 1])))
    if module.endswith("evaluate"):
        capsnet.evaluate(model, data)
    else:
        model.class_names = tuple(names)
        analyse(model, data, "errors")


def test_pairs_are_prepared_as_in_training():
    model = capsnet.create_model("capsnet-tiny", image_shape=(1, 36, 36))
    model.inputs = replace(model.inputs, standardize=True)
    given = []
    model.register_forward_pre_hook(lambda module, arguments: given.append(arguments[0]))
    images = torch.full((2, 1, 28, 28), 255, dtype=torch.uint8)
    data = ImageData(images, torch.tensor([0, 1]), tuple(map(str, range(10))))
    evaluate_pairs(model, data, Pairing(), name="pairs", split="test")
    assert abs(float(given[0].mean())) < 1e-5


def test_gpu_does_not_round_the_training_of_masks(scans, tmp_path, monkeypatch):
    used = []

    @contextmanager
    def use(precision, device):
        used.append((precision, device.type))
        yield

    monkeypatch.setattr("capsnet.training.other_inputs.use_precision", use)
    capsnet.train(data=scans, out=tmp_path / "run", steps=1, **TINY_MASKS)
    assert used == [("fp32", "cpu")]


def test_gpu_does_not_round_masks_and_sequences(rounding):
    segmenter = create_segmenter("unet-small", image_shape=(1, 16, 16), num_classes=1)
    measure_pixels(rounding("capsnet.inference.segment", segmenter), torch.zeros(1, 16, 16))
    empty = torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    masks = MaskFolder(empty, empty[0], ("a",), ("x.png",))
    evaluate_masks(rounding("capsnet.inference.mask_evaluation", segmenter), masks, name="masks", split="test")
    network = create_sequence_model("sequence-capsnet", in_channels=2, num_classes=3)
    series = SequenceData(torch.zeros(2, 2, 20), torch.tensor([20, 20]), torch.tensor([0, 1]), ("a", "b", "c"))
    network = rounding("capsnet.inference.sequence_evaluation", network)
    evaluate_sequences(network, series, name="series", split="test")

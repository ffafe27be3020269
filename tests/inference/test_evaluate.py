import pytest
import torch

import capsnet
from capsnet.data import Dataset, ImageData, load_data
from capsnet.errors import UserError
from capsnet.inference.evaluate import Evaluation, evaluate_model, evaluation_batch
from capsnet.losses import margin_loss


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
    names = "data split n accuracy error_percent margin_loss reconstruction_mse confusion"
    assert list(values) == names.split()
    assert values["error_percent"] == pytest.approx(100 * (1 - values["accuracy"]), abs=1e-5)


def test_interval_of_the_error_is_wilsons():
    result = Evaluation("x", "test", 10_000, 1 - 25 / 10_000, 0.0, None, [[0]])
    assert result.error_interval == pytest.approx((0.1694, 0.3687), abs=2e-4)


def test_classes_are_matched_by_name_not_by_number(model):
    data = load_data("digits").test
    order = torch.tensor([7, 8, 9, 0, 1, 2, 3, 4, 5, 6])
    shuffled = ImageData(data.images, order.argsort()[data.labels], tuple(str(int(k)) for k in order))
    part = Dataset("shuffled", shuffled, shuffled)
    assert capsnet.evaluate(model, part).confusion == capsnet.evaluate(model, "digits").confusion


def test_images_or_classes_that_are_not_the_models_are_refused(model):
    images = torch.zeros(2, 1, 20, 20, dtype=torch.uint8)
    small = ImageData(images, torch.tensor([0, 1]), ("0", "1"))
    with pytest.raises(UserError, match=r"images are 1x20x20 .* the model wants 1x28x28"):
        capsnet.evaluate(model, Dataset("small", small, small))
    letters = ImageData(torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.tensor([0]), ("a",))
    with pytest.raises(UserError, match="does not know the class 'a'"):
        capsnet.evaluate(model, Dataset("letters", letters, letters))


def test_unknown_split_is_refused(model):
    with pytest.raises(UserError, match="split must be 'train' or 'test'"):
        capsnet.evaluate(model, "digits", split="valid")


def test_evaluation_batches_are_larger_on_a_gpu():
    images = [
        ImageData(torch.zeros(2, 1, side, side, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b"))
        for side in (28, 280)
    ]
    assert [evaluation_batch(torch.device("cuda"), one) for one in images] == [1024, 128]
    assert [evaluation_batch(torch.device("cpu"), one) for one in images] == [128, 128]

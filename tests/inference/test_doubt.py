from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from tests.data.canvases import make_canvas

from capsnet.data import ImageData
from capsnet.inference.doubt import Signals, calibrate_doubt, find_reasons
from capsnet.inference.predict import predict
from capsnet.prediction import Doubt
from capsnet.runs import load
from capsnet.runs.weights import ModelSpec, load_weights, save_weights

NAMES = tuple("0123456789")
DOUBT = Doubt(length=0.8, gap=0.5, error=0.4, patch_error=0.5, pieces=1, images=1000, passed=0.96, marked={"a": 0.5})
SHIPPED = ["capsnet-mnist", "efficient-capsnet-mnist"]


def signals(length=0.9, gap=0.8, error=0.1, patch_error=0.1, pieces=1):
    values = [torch.tensor([value]) for value in (length, gap, error, patch_error, pieces)]
    return Signals(*values)


def test_nothing_speaks_against_a_long_capsule():
    assert find_reasons(signals(), DOUBT) == [()]


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        ({"length": 0.7}, "no capsule is long"),
        ({"gap": 0.4}, "a second capsule is nearly as long"),
        ({"error": 0.5}, "a poor reconstruction"),
        ({"patch_error": 0.6}, "a poor reconstruction"),
        ({"pieces": 2}, "several pieces of ink"),
    ],
)
def test_each_signal_beyond_its_limit_is_a_reason(signal, reason):
    assert find_reasons(signals(**signal), DOUBT) == [(reason,)]


def test_lengths_that_are_no_numbers_are_unsure():
    nan = float("nan")
    assert find_reasons(signals(length=nan, gap=nan, error=nan), DOUBT) == [
        ("no capsule is long", "a second capsule is nearly as long", "a poor reconstruction")
    ]


@pytest.fixture(scope="module")
def model():
    return ModelSpec("capsnet-tiny", {}, NAMES, "digit", "digits").build().eval()


def noise(count):
    images = torch.randint(0, 256, (count, 1, 28, 28), dtype=torch.uint8)
    return ImageData(images, torch.zeros(count, dtype=torch.long), NAMES)


def test_95_percent_of_validation_images_pass(model):
    doubt = calibrate_doubt(model, noise(400))
    assert 0.95 <= doubt.passed < 1
    assert doubt.images == 400


def test_few_images_give_no_limits(model):
    assert calibrate_doubt(model, noise(199)) is None


def test_limits_are_stored_with_the_weights(tmp_path):
    spec = ModelSpec("capsnet-tiny", {}, NAMES, "digit", "digits", doubt=DOUBT)
    save_weights(tmp_path / "w.safetensors", spec.build(), spec)
    assert load_weights(tmp_path / "w.safetensors").doubt == DOUBT


def test_weights_without_limits_say_nothing_of_doubt(tmp_path):
    spec = ModelSpec("capsnet-tiny", {}, NAMES, "digit", "digits")
    save_weights(tmp_path / "w.safetensors", spec.build(), spec)
    image = Image.new("L", (50, 50), 255)
    ImageDraw.Draw(image).line([(10, 10), (40, 40)], fill=0, width=4)
    [answer] = predict(load_weights(tmp_path / "w.safetensors"), [image])
    assert answer.unsure is None


def asterisk():
    image = Image.new("L", (224, 224))
    for line in ([(40, 60), (184, 164)], [(40, 164), (184, 60)], [(112, 30), (112, 194)]):
        ImageDraw.Draw(image).line(line, fill=255, width=17)
    return image


def letter_a():
    image = Image.new("L", (200, 200), 255)
    for line in ([(60, 160), (100, 40)], [(100, 40), (140, 160)], [(75, 120), (125, 120)]):
        ImageDraw.Draw(image).line(line, fill=0, width=14)
    return image


def two_sevens():
    image = Image.new("L", (200, 140), 255)
    for x in (30, 110):
        ImageDraw.Draw(image).line([(x, 30), (x + 45, 30), (x + 15, 110)], fill=0, width=10)
    return image


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("draw", [asterisk, two_sevens])
def test_what_is_not_one_digit_is_unsure(name, draw):
    [answer] = predict(name, [draw()])
    assert answer.unsure
    assert answer.reasons


def test_a_letter_is_unsure_by_its_reconstruction():
    [answer] = predict("efficient-capsnet-mnist", [letter_a()])
    assert answer.length > 0.9
    assert answer.reasons == ("a poor reconstruction",)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_drawn_seven_is_sure(name):
    image = Image.new("L", (224, 224))
    ImageDraw.Draw(image).line([(70, 50), (155, 50), (105, 180)], fill=255, width=17, joint="curve")
    [answer] = predict(name, [image])
    assert (answer.class_name, answer.unsure, answer.reasons) == ("7", False, ())


@pytest.mark.parametrize("name", SHIPPED)
def test_example_pictures_are_a_seven_and_an_unsure_letter(name):
    folder = Path(__file__).parents[2] / "examples" / "pictures"
    letter, seven = predict(name, [folder / "letter_a.jpg", folder / "seven.jpg"])
    assert (letter.class_name, letter.reasons) == ("4", ("a poor reconstruction",))
    assert (seven.class_name, seven.unsure) == ("7", False)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_hold_limits_and_what_they_mark(name):
    doubt = load(name).doubt
    assert doubt.passed >= 0.95
    assert len(doubt.marked) >= 6
    assert min(doubt.marked.values()) > 0.5


@pytest.mark.real_data
@pytest.mark.parametrize("name", SHIPPED)
def test_90_percent_of_digits_pasted_anywhere_are_sure(name, data_dir):
    import numpy as np

    from capsnet.data import load_data

    generator = np.random.default_rng(0)
    images = load_data("mnist", data_dir=data_dir).test.images[:400]
    answers = predict(name, [make_canvas(image[0].numpy(), generator)[0] for image in images])
    assert sum(not answer.unsure for answer in answers) / len(answers) >= 0.9


def test_a_run_stores_limits_where_200_images_are_held_out(tmp_path):
    from tests.conftest import TINY

    from capsnet.training import train

    run = train(TINY.change(epochs=1, limit=64, validation=200), out=tmp_path / "run")
    assert run.load_model().doubt.images == 200
    assert run.load_model().doubt.passed >= 0.95

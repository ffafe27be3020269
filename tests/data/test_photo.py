import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from tests.data.canvases import make_canvas

from capsnet.cli import main
from capsnet.data import load_data
from capsnet.data.photo import center_digit
from capsnet.inference.evaluate import find_inputs
from capsnet.runs import load


def draw_seven(size=(120, 90), ground=255, ink=0, width=6, at=(40, 20)):
    image = Image.new("L", size, ground)
    x, y = at
    ImageDraw.Draw(image).line([(x, y), (x + 25, y), (x + 10, y + 45)], fill=ink, width=width)
    return image


def seen(image):
    return np.asarray(center_digit(image).image, np.float32)


@pytest.fixture(scope="module")
def test_split(data_dir):
    return load_data("mnist", data_dir=data_dir).test


def predict(model, frames):
    images = torch.from_numpy(np.stack([np.asarray(frame) for frame in frames]))[:, None]
    with torch.inference_mode():
        return torch.cat([model(find_inputs(model)(part)).lengths.argmax(dim=1) for part in images.split(250)])


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["capsnet-mnist", "efficient-capsnet-mnist"])
def test_97_percent_of_digits_pasted_anywhere_are_read(test_split, name):
    generator = np.random.default_rng(0)
    canvases = [make_canvas(image[0].numpy(), generator)[0] for image in test_split.images[:1000]]
    found = predict(load(name), [center_digit(canvas).image for canvas in canvases])
    assert (found == test_split.labels[:1000]).float().mean() >= 0.97


@pytest.mark.real_data
def test_mnist_images_are_read_as_well_as_they_are(test_split):
    model, images = load("efficient-capsnet-mnist"), [Image.fromarray(x[0].numpy()) for x in test_split.images[:1000]]
    direct, found = predict(model, images), predict(model, [center_digit(image).image for image in images])
    assert ((direct == test_split.labels[:1000]).sum() - (found == test_split.labels[:1000]).sum()).abs() <= 1


@pytest.mark.parametrize(("ground", "ink"), [(0, 255), (90, 200), (200, 120)])
def test_greys_of_ground_and_ink_do_not_matter(ground, ink):
    assert np.abs(seen(draw_seven(ground=ground, ink=ink)) - seen(draw_seven())).max() < 12


def test_a_shadow_over_the_paper_does_not_matter():
    image = np.asarray(draw_seven(), np.float32)
    shadow = np.linspace(1.0, 0.5, image.shape[1])
    dark = Image.fromarray((image * shadow).round().astype(np.uint8))
    assert np.abs(seen(dark) - seen(draw_seven())).mean() < 10


def test_specks_and_noise_are_left_out():
    image = np.asarray(draw_seven(), np.float32)
    image[80, 110] = image[5, 5] = 0
    noisy = image + np.random.default_rng(0).normal(0, 4, image.shape)
    box = center_digit(Image.fromarray(noisy.clip(0, 255).astype(np.uint8))).box
    assert np.abs(np.array(box) - np.array(center_digit(draw_seven()).box)).max() <= 3


def test_box_is_where_the_digit_is_in_a_large_photo():
    image = draw_seven((4000, 3000), width=60, at=(2500, 1500))
    left, top, right, bottom = center_digit(image).box
    assert abs(left - 2500) < 60
    assert abs(top - 1500) < 60
    assert 2500 < right < 2600
    assert 1500 < bottom < 1620


def test_a_digit_at_the_border_is_found():
    assert np.abs(seen(draw_seven(at=(2, 2))) - seen(draw_seven())).mean() < 8


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_an_even_surface_has_no_digit(grey):
    found = center_digit(Image.new("L", (50, 40), grey))
    assert found.box is None
    assert not np.asarray(found.image).any()


def test_a_noisy_surface_has_no_digit():
    noise = np.random.default_rng(0).normal(128, 5, (200, 200)).round().astype(np.uint8)
    assert center_digit(Image.fromarray(noise)).box is None


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (28, 28)])
def test_any_size_is_taken(size):
    image = Image.new("L", size, 255)
    image.putpixel((0, 0), 0)
    assert center_digit(image).image.size == (28, 28)


def test_predict_says_of_an_even_surface_that_it_holds_no_digit(capsys, tmp_path):
    path = tmp_path / "even.png"
    Image.new("L", (50, 40), 200).save(path)
    assert main(["predict", "efficient-capsnet-mnist", str(path)]) == 0
    assert "no digit found" in capsys.readouterr().out

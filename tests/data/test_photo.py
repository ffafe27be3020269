import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from tests.data.canvases import cut_tightly, make_canvas, photograph

from capsnet.cli import main
from capsnet.data import load_data
from capsnet.data.photo import center_digit
from capsnet.errors import UserError
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
        return torch.cat([model(model.inputs(part)).lengths.argmax(dim=1) for part in images.split(250)])


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["capsnet-mnist", "efficient-capsnet-mnist"])
def test_97_percent_of_digits_pasted_anywhere_are_read(test_split, name):
    generator = np.random.default_rng(0)
    canvases = [make_canvas(image[0].numpy(), generator)[0] for image in test_split.images[:1000]]
    found = predict(load(name), [center_digit(canvas).image for canvas in canvases])
    assert (found == test_split.labels[:1000]).float().mean() >= 0.97


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["capsnet-mnist", "efficient-capsnet-mnist"])
def test_digits_cut_out_tightly_are_read(test_split, name):
    # each digit in one of 32 ways: side, margin, dark or light; all 32 ways of 1,000 digits are in dev/LOG.md
    ways = [
        (side, m, dark) for side in (20, 40, 80, 280) for m in (0, 1, side // 20, 3 * side // 20) for dark in (0, 1)
    ]
    images = [
        cut_tightly(image[0].numpy(), side, margin, dark=bool(dark))
        for image, (side, margin, dark) in zip(test_split.images[:1024], ways * 32, strict=True)
    ]
    digits = [center_digit(image) for image in images]
    assert all(digit.box is not None for digit in digits)
    found = predict(load(name), [digit.image for digit in digits])
    assert (found == test_split.labels[:1024]).float().mean() >= 0.985


@pytest.mark.real_data
@pytest.mark.parametrize("turned", [False, True])
def test_98_percent_of_photographed_digits_are_read(test_split, turned):
    generator = np.random.default_rng(1)
    photos = [photograph(image[0].numpy(), generator, turned=turned) for image in test_split.images[:300]]
    found = predict(load("efficient-capsnet-mnist"), [center_digit(photo).image for photo in photos])
    assert (found == test_split.labels[:300]).float().mean() >= 0.98


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


@pytest.mark.parametrize("deviation", [0.0, 1.0])
@pytest.mark.parametrize("side", [20, 28, 80, 300])
def test_uneven_light_and_any_noise_have_no_digit(side, deviation):
    y, x = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    light = 180 - 40 * x + 20 * y - 30 * x * x + np.random.default_rng(0).normal(0, 1, x.shape) * deviation
    noise = np.random.default_rng(0).integers(0, 256, x.shape)
    assert center_digit(Image.fromarray(light.astype(np.uint8))).box is None
    assert center_digit(Image.fromarray(noise.astype(np.uint8))).box is None


@pytest.mark.parametrize(("ground", "ink"), [(255, 0), (0, 255), (90, 200)])
@pytest.mark.parametrize("side", [20, 280])
def test_a_digit_that_fills_its_image_is_found(side, ground, ink):
    # a thick zero: most of the image is ink
    image = Image.new("L", (side, side), ground)
    ImageDraw.Draw(image).ellipse([0, 0, side - 1, side - 1], outline=ink, width=round(0.3 * side))
    frame = seen(image)
    assert frame[13:15, 5:9].min() > 200
    assert frame[13:15, 13:15].max() < 100


@pytest.mark.parametrize(("ground", "ink"), [(200, 60), (120, 250)])
@pytest.mark.parametrize("corner", [0, 255])
@pytest.mark.parametrize("whole", [False, True])
def test_corners_of_a_turned_photo_are_no_ink(ground, ink, corner, whole):
    straight = draw_seven(size=(180, 160), ground=ground, ink=ink, at=(80, 50))
    turned = straight.rotate(8, Image.Resampling.BICUBIC, expand=whole, fillcolor=corner)
    expected = draw_seven(size=(180, 160), at=(80, 50)).rotate(8, Image.Resampling.BICUBIC, fillcolor=255)
    assert np.abs(seen(turned) - seen(expected)).mean() < 3


def test_a_turned_photo_without_scipy_names_the_package(monkeypatch):
    turned = draw_seven(size=(180, 160), at=(80, 50)).rotate(8, Image.Resampling.BICUBIC, expand=True, fillcolor=0)
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(UserError, match="needs the package scipy"):
        center_digit(turned)


def test_a_light_bar_on_black_is_a_stroke_not_a_turned_photo():
    bar = Image.new("L", (200, 200), 0)
    ImageDraw.Draw(bar).polygon([(70, 0), (199, 120), (130, 199), (0, 80)], fill=230)
    assert center_digit(bar).box is not None


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


@pytest.mark.parametrize(("drawn", "pieces"), [([(0, 0)], 1), ([(0, 0), (60, 4)], 2), ([(0, 0), (60, 0), (120, 3)], 3)])
def test_pieces_side_by_side_are_counted(drawn, pieces):
    image = Image.new("L", (220, 110), 255)
    for x, y in drawn:
        image.paste(draw_seven((55, 90), at=(15, 20)), (x, y))
    assert center_digit(image).pieces == pieces


def test_pieces_above_one_another_are_one():
    image = draw_seven()
    ImageDraw.Draw(image).line([(40, 8), (70, 8)], fill=0, width=5)
    assert center_digit(image).pieces == 1

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from capsnet.data import formats as module
from capsnet.data.images import prepare_image
from capsnet.errors import UserError


def drawing(path, *, paper, ink, mode="L", size=(200, 160)):
    image = Image.new(mode, size, paper)
    ImageDraw.Draw(image).line([(120, 30), (120, 110)], fill=ink, width=12)
    image.save(path)
    return path


def test_dark_on_light_equals_light_on_dark(tmp_path):
    dark = prepare_image(drawing(tmp_path / "dark.png", paper=255, ink=0), (1, 28, 28), "digit")
    light = prepare_image(drawing(tmp_path / "light.png", paper=0, ink=255), (1, 28, 28), "digit")
    assert dark.equal(light)
    assert light.max() == 255


def test_digit_is_20_high_and_centred_by_mass(tmp_path):
    image = prepare_image(drawing(tmp_path / "one.png", paper=250, ink=20), (1, 28, 28), "digit")[0].float()
    rows = (image.sum(dim=1) > 0).nonzero()[:, 0]
    assert len(rows) == 20
    grid = torch.arange(28.0)
    assert abs(float((image.sum(dim=1) * grid).sum() / image.sum()) - 13.5) <= 0.5
    assert abs(float((image.sum(dim=0) * grid).sum() / image.sum()) - 13.5) <= 0.5


def test_digit_is_20_high_in_a_larger_frame_too(tmp_path):
    image = prepare_image(drawing(tmp_path / "one.png", paper=250, ink=20), (1, 40, 40), "digit")[0]
    assert int((image.amax(dim=1) > 0).sum()) == 20


def test_place_and_size_of_the_drawing_do_not_matter(tmp_path):
    one = Image.new("L", (400, 300), 255)
    ImageDraw.Draw(one).line([(300, 200), (300, 280)], fill=0, width=12)
    one.save(tmp_path / "a.png")
    two = prepare_image(drawing(tmp_path / "b.png", paper=255, ink=0), (1, 28, 28), "digit")
    assert prepare_image(tmp_path / "a.png", (1, 28, 28), "digit").equal(two)


def test_colour_drawing_becomes_grey(tmp_path):
    path = drawing(tmp_path / "c.png", paper=(240, 240, 255), ink=(90, 0, 0), mode="RGB")
    assert prepare_image(path, (1, 28, 28), "digit").shape == (1, 28, 28)


def test_transparent_places_are_paper(tmp_path):
    image = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    ImageDraw.Draw(image).line([(30, 10), (30, 50)], fill=(0, 0, 0, 255), width=6)
    image.save(tmp_path / "t.png")
    seen = prepare_image(tmp_path / "t.png", (1, 28, 28), "digit")
    assert seen[0, 14, 13:15].float().mean() > 150
    assert seen[0, :, 0].max() == 0


def test_empty_drawing_is_black(tmp_path):
    Image.new("L", (50, 50), 255).save(tmp_path / "e.png")
    assert prepare_image(tmp_path / "e.png", (1, 28, 28), "digit").max() == 0


def test_fit_keeps_the_aspect_and_fills_with_the_border(tmp_path):
    Image.fromarray(np.full((10, 40, 3), (10, 200, 30), np.uint8)).save(tmp_path / "wide.png")
    seen = prepare_image(tmp_path / "wide.png", (3, 32, 32), "fit")
    assert seen.shape == (3, 32, 32)
    assert seen[:, 0, 0].tolist() == [10, 200, 30]


def test_sixteen_bit_images_are_scaled_down(tmp_path):
    Image.fromarray(np.full((28, 28), 65535, np.uint16)).save(tmp_path / "deep.png")
    assert prepare_image(tmp_path / "deep.png", (1, 28, 28), "fit").min() == 255


def test_faulty_files_are_named(tmp_path, monkeypatch):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UserError, match=r"text\.png: is not an image"):
        prepare_image(tmp_path / "text.png", (1, 28, 28), "fit")
    with pytest.raises(UserError, match=r"gone\.png: no such file"):
        prepare_image(tmp_path / "gone.png", (1, 28, 28), "fit")
    with pytest.raises(UserError, match="is a folder"):
        prepare_image(tmp_path, (1, 28, 28), "fit")
    whole = drawing(tmp_path / "whole.png", paper=255, ink=0).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.png: is a damaged image"):
        prepare_image(tmp_path / "cut.png", (1, 28, 28), "fit")
    monkeypatch.setattr(module, "MAX_PIXELS", 1000)
    with pytest.raises(UserError, match=r"whole\.png: 200x160 pixels are too many"):
        prepare_image(tmp_path / "whole.png", (1, 28, 28), "fit")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (9000, 9000)).save(tmp_path / "bomb.png")
    with pytest.raises(UserError, match="too many"):
        prepare_image(tmp_path / "bomb.png", (1, 28, 28), "fit")

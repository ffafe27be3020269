import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from capsnet.figures import style
from capsnet.figures.style import MAX_BYTES, axes_at, class_label, installed_fonts, labels, new_figure, plain, to_png
from capsnet.figures.tiles import montage, show, to_tiles


@pytest.fixture
def without_cjk(monkeypatch):
    """Only the font that comes with matplotlib is installed, and nothing was reported."""
    own = dict([next(iter(installed_fonts().items()))])
    monkeypatch.setattr("capsnet.figures.style.installed_fonts", lambda: own)
    style._warn_without_font.cache_clear()


def test_text_from_outside_becomes_text_that_the_font_has(without_cjk):
    assert plain("猫 $x_1$ é\n") == "U+732B $x_1$ é "
    assert plain("a" * 50, 10) == "a" * 9 + "…"


def test_class_that_no_font_can_draw_is_its_number_and_the_font_to_install_is_named_once(without_cjk, capsys):
    assert labels(["dog", "猫", "cat"], 10) == ["dog", "class 1", "cat"]
    assert class_label(["dog", "猫"], 1) == "class 1"
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "U+732B" in said
    assert "fonts-noto-cjk" in said


def test_class_is_drawn_in_its_script_where_a_font_for_it_is_installed(monkeypatch, capsys):
    fonts = {**installed_fonts(), "Noto Sans CJK SC": "cjk.ttc"}

    class Font:
        def __init__(self, file):
            self.has = "猫" if file == "cjk.ttc" else "dog"

        def get_char_index(self, code):
            return int(chr(code) in self.has)

    monkeypatch.setattr("capsnet.figures.style.installed_fonts", lambda: fonts)
    monkeypatch.setattr("capsnet.figures.style._open_font", Font)
    assert labels(["dog", "猫"], 10) == ["dog", "猫"]
    assert capsys.readouterr().err == ""
    assert style.styled(lambda: matplotlib.rcParams["font.family"])() == list(fonts)


def test_fonts_for_other_scripts_are_those_that_are_installed(monkeypatch):
    class Entry:
        name, fname = "WenQuanYi Zen Hei", "zenhei.ttc"

    monkeypatch.setattr("capsnet.figures.style.fontManager.ttflist", [Entry])
    found = installed_fonts.__wrapped__()
    assert list(found) == ["DejaVu Sans", "WenQuanYi Zen Hei"]
    assert found["WenQuanYi Zen Hei"] == "zenhei.ttc"


def test_names_that_look_the_same_when_cut_get_their_number():
    assert labels(["traffic sign 1", "traffic sign 2"], 10) == ["0 traffic…", "1 traffic…"]


def test_styles_set_outside_stay():
    before = dict(matplotlib.rcParams)
    to_png(new_figure(3.0, 1.0, "title", "subtitle"))
    assert dict(matplotlib.rcParams) == before


def test_a_file_stays_small_when_it_holds_noise():
    figure = new_figure(4.0, 3.0, "noise", "")
    show(axes_at(figure, 0.0, 0.0, 4.0, 3.0), np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8))
    assert len(to_png(figure)) < MAX_BYTES


def test_large_images_become_small_tiles():
    assert to_tiles(torch.rand(2, 1, 256, 128)).shape == (2, 64, 32, 3)


def test_a_stereo_pair_stands_beside_each_other():
    pair = torch.tensor([10, 200], dtype=torch.uint8).view(1, 2, 1, 1).expand(1, 2, 3, 3)
    tile = to_tiles(pair)[0]
    assert tile[..., 0].tolist() == [[10, 10, 10, 200, 200, 200]] * 3


def test_pixels_of_images_are_whole_pixels_of_the_file(tmp_path):
    tiles = to_tiles(torch.randint(0, 256, (6, 3, 10, 10), dtype=torch.uint8))
    sheet = montage(tiles, 3, gap=2)
    assert sheet.shape == (22, 34, 3)
    figure = new_figure(4.0, 2.0, "", "")
    show(axes_at(figure, 1.0, 0.5, 34 * 4 / 160, 22 * 4 / 160), sheet)
    (tmp_path / "tiles.png").write_bytes(to_png(figure))
    pixels = np.asarray(Image.open(tmp_path / "tiles.png"))
    bottom = len(pixels) - 80
    assert (pixels[bottom - 88 : bottom : 4, 160 : 160 + 136 : 4] == sheet).all()

import pytest

from capsnet.errors import UserError
from capsnet.figures.pictures import Picture, Pictures


def drawn(log, name):
    def draw():
        log.append(name)
        if name == "broken":
            raise UserError("no <data>")
        return Picture(name, f"About {name}.", b"pixels of " + name.encode())

    return draw


def test_pictures_are_drawn_when_first_asked_for_and_once():
    log = []
    pictures = Pictures({name: drawn(log, name) for name in ("curves", "confusion")})
    assert list(pictures) == ["curves", "confusion"]
    assert log == []
    assert pictures["curves"] is pictures.find("curves")
    assert log == ["curves"]


def test_unknown_picture_gets_the_nearest_name():
    with pytest.raises(UserError, match="unknown figure 'curvs'; did you mean 'curves'"):
        Pictures({"curves": drawn([], "curves")}).find("curvs")


def test_notebook_shows_all_pictures_and_says_which_is_missing():
    page = Pictures({name: drawn([], name) for name in ("curves", "broken")})._repr_html_()
    assert "data:image/png;base64,cGl4ZWxzIG9mIGN1cnZlcw==" in page
    assert "About curves." in page
    assert "broken is left out: no &lt;data&gt;" in page


def test_picture_displays_and_saves_itself_but_overwrites_nothing(tmp_path):
    picture = Picture("curves", "About curves.", b"pixels")
    assert picture._repr_png_() == b"pixels"
    assert picture.save(tmp_path / "a.png").read_bytes() == b"pixels"
    with pytest.raises(UserError, match="exists"):
        picture.save(str(tmp_path / "a.png"))
    assert "pixels" not in repr(picture)

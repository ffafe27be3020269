"""The static page: its preparation of drawings, and the whole of it in a real browser."""

import base64
import os
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps
from tests.c_compiler import copy_libraries

from capsnet.data.images import fit_image
from capsnet.data.photo import center_digit
from capsnet.demo.look import look
from capsnet.errors import UserError
from capsnet.interop import onnx_runtime_web
from capsnet.runs import load

SIDE = 224


def strokes(*lines, width=17, ink=255):
    """Light strokes on black, with smooth edges, as the page draws them."""
    large = Image.new("L", (4 * SIDE, 4 * SIDE))
    for line in lines:
        ImageDraw.Draw(large).line([(4 * x, 4 * y) for x, y in line], fill=ink, width=4 * width, joint="curve")
    return large.resize((SIDE, SIDE), Image.Resampling.BOX)


SEVEN = strokes([(60, 50), (160, 50), (90, 190)])
DRAWINGS = {
    "seven": SEVEN,
    "wide": strokes([(20, 100), (200, 110)]),
    "small": strokes([(100, 100), (106, 118)], width=4),
    "five with a bar": strokes([(90, 60), (80, 110), (140, 130), (90, 180)], [(95, 45), (150, 40)]),
    "two digits": strokes([(40, 40), (40, 180)], [(140, 40), (190, 60), (150, 180)]),
    "speck": strokes([(60, 50), (160, 50), (90, 190)], [(200, 200), (203, 203)], width=12),
    "grey": strokes([(70, 30), (70, 200)], width=9, ink=140),
    "at the border": strokes([(0, 0), (0, 223), (223, 223)], width=40),
    "nearly all": strokes([(112, 0), (112, 223)], width=200),
    "nothing": Image.new("L", (SIDE, SIDE)),
}


@pytest.fixture(scope="module")
def prepare(browser):
    """Calls a function of prepare.js on a drawing."""
    tab = browser.new_page()
    tab.add_script_tag(content=files("capsnet.demo").joinpath("prepare.js").read_text())

    def call(function, image, height, width):
        given = [function, image.width, image.height, list(image.tobytes()), height, width]
        code = """([name, width, height, pixels, ...size]) => {
            const drawing = { width, height, pixels: Uint8Array.from(pixels) };
            const result = { centerDigit, fitDrawing }[name](drawing, ...size);
            return { ...result, pixels: [...result.pixels] };
        }"""
        result = tab.evaluate(code, given)
        assert (result["width"], result["height"]) == (width, height)
        return np.array(result["pixels"], np.uint8).reshape(height, width), result.get("pieces")

    return call


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize("side", [28, 20, 40])
def test_a_drawing_is_centred_byte_for_byte_as_by_python(prepare, name, side):
    # with a margin the border is paper, and most of the image is
    expected = center_digit(ImageOps.expand(DRAWINGS[name], 50), side, side)
    pixels, pieces = prepare("centerDigit", DRAWINGS[name], side, side)
    assert np.array_equal(pixels, np.asarray(expected.image))
    assert pieces == expected.pieces


def test_the_margin_changes_nothing_for_a_usual_drawing():
    one, other = center_digit(SEVEN), center_digit(ImageOps.expand(SEVEN, 50))
    assert np.array_equal(one.image, other.image)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (28, 40), (40, 28), (300, 300)])
@pytest.mark.parametrize("name", ["seven", "at the border"])
def test_a_drawing_is_fitted_byte_for_byte_as_by_python(prepare, name, height, width):
    pixels, _ = prepare("fitDrawing", DRAWINGS[name], height, width)
    assert np.array_equal(pixels, np.asarray(fit_image(DRAWINGS[name], height, width)))


@pytest.fixture(scope="module")
def engine(browser):
    """The functions of the engine, for a network without limits."""
    tab = browser.new_page()
    model = "const MODEL = { limits: null, words: { gap: 'close' }, no_digit: 'no digit' };"
    scripts = [files("capsnet.demo").joinpath(name).read_text() for name in ("prepare.js", "engine_local.js")]
    tab.add_script_tag(content=model + "".join(scripts))
    return tab


def test_image_without_a_digit_is_unsure_without_limits_too(engine):
    assert engine.evaluate("findReasons({ pieces: 0, gap: 0 })") == ["no digit"]
    assert engine.evaluate("findReasons({ pieces: 1, gap: 0 })") == []


def test_a_large_colour_picture_is_passed_on(engine):
    code = """() => {
        const side = 224, data = Float32Array.from({ length: 3 * side * side }, (_, k) => (k % 256) / 255);
        return toPicture({ data, dims: [1, 3, side, side] });
    }"""
    picture = engine.evaluate(code)
    expected = (np.arange(3 * 224 * 224) % 256).astype(np.uint8).reshape(3, 224, 224).transpose(1, 2, 0)
    assert base64.b64decode(picture["pixels"]) == expected.tobytes()


def test_a_missing_runtime_is_named_with_its_place(monkeypatch, tmp_path):
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("CAPSNET_DATA_DIR", raising=False)
    monkeypatch.setattr(onnx_runtime_web.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"npm, which fetches it, is not installed; run npm pack") as fault:
        onnx_runtime_web.load_web_runtime()
    assert str(tmp_path) in str(fault.value)
    assert onnx_runtime_web.ARCHIVE in str(fault.value)


def test_another_file_in_place_of_the_runtime_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path))
    (tmp_path / "onnxruntime-web").mkdir()
    (tmp_path / "onnxruntime-web" / onnx_runtime_web.ARCHIVE).write_bytes(b"another")
    with pytest.raises(UserError, match="its SHA-256 differs"):
        onnx_runtime_web.load_web_runtime()


EXPORT = """
import sys
from capsnet.cli import main
folder = sys.argv[1]
assert main(["export", "efficient-capsnet-mnist", folder + "/small", "--format", "web"]) == 0
assert main(["export", "capsnet-mnist", folder + "/places", "--format", "web", "--int8"]) == 0
"""


@pytest.fixture(scope="module")
def folder(shared_folder):
    """The pages of both bundled networks, made without the run-time checks, which torch.export cannot trace."""
    pytest.importorskip("onnxscript")
    return shared_folder("static", export_pages)


def export_pages(folder):
    environment = {**os.environ, "CAPSNET_CACHE_DIR": str(folder / "cache")}
    copy_libraries(folder / "cache")
    words = [sys.executable, "-c", EXPORT, folder]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if "npm pack" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def tab(browser, folder):
    """The page of the smaller network, opened as a file, and every address that it asked for."""
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    tab.asked, tab.faults = [], []
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.on("pageerror", lambda fault: tab.faults.append(str(fault)))
    open_page(tab, folder / "small")
    return tab


def open_page(tab, folder):
    tab.goto((folder / "index.html").as_uri())
    tab.wait_for_selector("body[data-answers]", timeout=120_000)
    settle(tab)


def settle(tab):
    tab.wait_for_selector("body[aria-busy=false]")


def answers(tab, image):
    """What the engine says of a drawing, and what it draws when the pose is moved."""
    code = """async ([side, pixels]) => {
        const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
        const data = new ImageData(side, side);
        pixels.forEach((value, k) => data.data.set([value, value, value, 255], 4 * k));
        canvas.getContext("2d").putImageData(data, 0, 0);
        return engine.look({ canvas });
    }"""
    return tab.evaluate(code, [image.width, list(image.tobytes())])


@pytest.mark.parametrize("name", ["seven", "two digits", "nothing"])
def test_the_browser_answers_as_python_does(tab, name):
    expected, given = look(load("efficient-capsnet-mnist"), DRAWINGS[name]), answers(tab, DRAWINGS[name])
    # weights are float16
    assert given["lengths"] == pytest.approx(expected["lengths"], abs=2e-3)
    for key in ("names", "found", "unsure", "reasons", "note", "about", "seen", "places", "word", "preparation"):
        assert given[key] == expected[key], key


def test_routing_is_shown_in_the_browser_as_python_shows_it(browser, folder):
    tab = browser.new_page()
    open_page(tab, folder / "places")
    expected, given = look(load("capsnet-mnist"), SEVEN)["places"], answers(tab, SEVEN)["places"]
    assert [step["iteration"] for step in given["steps"]] == [1, 2, 3]
    for one, other in zip(expected["steps"], given["steps"], strict=True):
        assert np.allclose(one["shares"], other["shares"], atol=0.02)
    assert tab.locator("#maps figure").count() == 3
    tab.close()


def test_a_digit_is_drawn_and_a_slider_moves_it(tab):
    tab.click("#clear")
    box = tab.locator("#canvas").bounding_box()
    for number, (x, y) in enumerate([(0.3, 0.2), (0.7, 0.2), (0.55, 0.5), (0.4, 0.85)]):
        tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if number == 0:
            tab.mouse.down()
    tab.mouse.up()
    settle(tab)
    assert tab.inner_text("#answer") == "7"
    assert tab.inner_text("#verdict").startswith("length 0.")
    before = tab.evaluate("document.getElementById('drawn').toDataURL()")
    slider = tab.locator("#sliders input").nth(2)
    slider.fill("0.25")
    settle(tab)
    assert tab.evaluate("document.getElementById('drawn').toDataURL()") != before
    tab.click("#reset")
    settle(tab)
    assert tab.evaluate("document.getElementById('drawn').toDataURL()") == before


def test_the_page_is_small_and_asks_nobody(tab, folder):
    size = sum(path.stat().st_size for path in (folder / "small").iterdir())
    assert size < 12_000_000
    assert not [url for url in tab.asked if not url.startswith((folder.as_uri(), "blob:", "data:"))]
    assert not tab.faults
    assert not tab.locator("label[for=file]").is_visible()

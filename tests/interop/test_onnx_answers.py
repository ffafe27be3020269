"""`capsnet predict model.onnx`: without PyTorch, with the answers of PyTorch."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from capsnet.cli import main
from capsnet.errors import UserError

NAME = "efficient-capsnet-mnist"
BLOCKED = """
import sys
for name in ("torch", "matplotlib", "onnx", "onnxscript", "sklearn"):
    sys.modules[name] = None
from capsnet.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A seven in grey on paper, two sevens, an even image, and a file that is no image."""
    folder = tmp_path_factory.mktemp("photos")
    one, two = Image.new("L", (120, 110), 230), Image.new("RGB", (220, 110), "white")
    ImageDraw.Draw(one).line([(35, 20), (75, 20), (50, 90)], fill=40, width=9)
    for left in (0, 100):
        ImageDraw.Draw(two).line([(35 + left, 20), (75 + left, 20), (50 + left, 90)], fill="navy", width=9)
    one.save(folder / "one.png")
    two.save(folder / "two.jpg")
    Image.new("L", (40, 40), 200).save(folder / "even.png")
    (folder / "text.png").write_text("no image")
    return [str(folder / name) for name in ("one.png", "two.jpg", "even.png", "text.png")]


def without_torch(*words):
    return subprocess.run([sys.executable, "-c", BLOCKED, *map(str, words)], capture_output=True, text=True)


def test_files_are_answered_without_torch_as_with_it(exports, photos, capsys):
    assert main(["predict", NAME, *photos]) == 2
    expected = capsys.readouterr()
    done = without_torch("predict", exports / "digits/model.onnx", *photos)
    assert done.returncode == 2
    assert done.stdout == expected.out
    assert done.stderr == expected.err


def test_other_weights_ask_for_torch_where_it_is_missing(photos):
    done = without_torch("predict", NAME, photos[0])
    assert done.returncode == 2
    assert done.stderr == f"capsnet: {NAME} needs PyTorch (pip install torch); without it, use an .onnx file\n"


@pytest.mark.parametrize("more", [(), ("--as-is",), ("--poses",)])
def test_json_is_that_of_torch(exports, photos, capsys, more):
    lines = []
    for model in (NAME, exports / "digits/model.onnx"):
        assert main(["predict", str(model), *photos, "--json", *more]) == 2
        lines.append(json.loads(capsys.readouterr().out))
    assert lines[0]["failed"] == lines[1]["failed"]
    for one, other in zip(lines[0]["predictions"], lines[1]["predictions"], strict=True):
        assert one.keys() == other.keys()
        for key in one:
            if key == "poses":
                np.testing.assert_allclose(other[key], one[key], atol=1e-5)
            elif key in ("length", "lengths"):
                assert other[key] == pytest.approx(one[key], abs=1e-5)
            else:
                assert one[key] == other[key]


def test_int8_weights_and_float_images_are_answered(exports, photos, capsys):
    for name in ("small.onnx", "standardized.onnx"):
        assert main(["predict", str(exports / name), photos[0], "--json"]) == 0
        [answer] = json.loads(capsys.readouterr().out)["predictions"]
        assert len(answer["lengths"]) == 10
        assert ("unsure" in answer) == (name == "small.onnx")


def test_what_is_no_exported_model_is_refused(exports, photos, tmp_path, capsys):
    (tmp_path / "cut.onnx").write_bytes((exports / "digits/model.onnx").read_bytes()[:5000])
    for path, fault in (
        (tmp_path / "gone.onnx", "gone.onnx: no such file"),
        (tmp_path / "cut.onnx", "cut.onnx is not a valid ONNX file"),
        (exports / "digits/decoder.onnx", "does not describe its model; write it with capsnet export"),
    ):
        assert main(["predict", str(path), photos[0]]) == 2
        assert fault in capsys.readouterr().err


def test_a_figure_needs_the_network(exports, photos, tmp_path, capsys):
    line = ["predict", str(exports / "small.onnx"), photos[0], "--figure", str(tmp_path / "a.png")]
    assert main(line) == 2
    assert "--figure needs the run or the weights" in capsys.readouterr().err


class Blank:
    """A session that keeps its input and gives the same lengths for each image."""

    def get_outputs(self):
        return [SimpleNamespace(name=name) for name in ("lengths", "poses")]

    def run(self, names, inputs):
        self.image = inputs["image"]
        return [np.zeros((len(self.image), 1)), np.zeros((len(self.image), 1, 4))]


@pytest.mark.usefixtures("unchecked")
def test_deep_files_have_the_range_of_the_model(tmp_path):
    from capsnet.interop.exported import Exported
    from capsnet.interop.onnx_answers import OnnxModel

    about = Exported(1, "0", "capsnet", ("a",), (1, 8, 8), "uint8", "fit", (0.0, 2000.0), False, None, "")
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(tmp_path / "deep.png")
    model = OnnxModel(Blank(), about)
    for given, value in ((None, 128), ((0.0, 1000.0), 255)):
        list(model.answer_files([tmp_path / "deep.png"], pixel_range=given))
        assert np.unique(model.session.image).tolist() == [value]


def test_onnxruntime_is_named_where_it_is_missing(monkeypatch, tmp_path):
    from capsnet.interop.onnx_answers import OnnxModel

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"pip install 'capsnet\[onnx\]'"):
        OnnxModel.open(tmp_path / "a.onnx")

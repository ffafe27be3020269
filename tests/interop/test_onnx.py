"""ONNX files: the same answers as PyTorch's, at any number of images, with their description."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from capsnet import load
from capsnet.cli import main
from capsnet.errors import UserError
from capsnet.interop.exported import Exported
from capsnet.interop.graph import AnswerGraph, DecoderGraph, check_outputs, example_images
from capsnet.models import MODELS
from capsnet.prediction import Doubt

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from tests.interop.exports import standardized  # noqa: E402

from capsnet.interop import onnx as onnx_module  # noqa: E402
from capsnet.interop.onnx import OPSET  # noqa: E402


def run(path, **inputs):
    """The outputs of a file by their names."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def description(path):
    return json.loads({entry.key: entry.value for entry in onnx.load(path).metadata_props}["capsnet"])


def test_the_file_passes_the_checker_and_states_its_opset(exports):
    for name in ("model.onnx", "decoder.onnx"):
        model = onnx.load(exports / "digits" / name)
        onnx.checker.check_model(model, full_check=True)
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]


def test_the_file_takes_and_gives_named_arrays_of_any_number(exports):
    graph = onnx.load(exports / "digits/model.onnx").graph
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {
        "image": ["batch", 1, 28, 28],
        "lengths": ["batch", 10],
        "poses": ["batch", 10, 16],
        "reconstruction": ["batch", 1, 28, 28],
        "signals": ["batch", 4],
    }


@pytest.mark.parametrize("count", [1, 2, 7, 128])
def test_answers_equal_those_of_torch(exports, count):
    model = load("efficient-capsnet-mnist")
    images = example_images(model, count, "uint8")
    with torch.inference_mode():
        expected = AnswerGraph(model, "uint8")(images)
    given = run(exports / "digits/model.onnx", image=images.numpy())
    for one, other in zip(expected, given.values(), strict=True):
        # reconstruction errors of noise are about 10
        assert np.allclose(one.numpy(), other, rtol=1e-5, atol=1e-5)


def test_the_decoder_draws_any_pose(exports):
    model = load("efficient-capsnet-mnist")
    poses, labels = torch.randn(3, 10, 16), torch.tensor([1, 9, 0])
    with torch.inference_mode():
        [expected] = DecoderGraph(model)(poses, labels)
    given = run(exports / "digits/decoder.onnx", poses=poses.numpy(), labels=labels.numpy())["reconstruction"]
    assert np.allclose(expected.numpy(), given, atol=1e-5)


def test_the_file_describes_its_model(exports):
    model, about = load("efficient-capsnet-mnist"), description(exports / "digits/model.onnx")
    assert about["class_names"] == list(model.class_names)
    assert about["preparation"] == "digit"
    assert (about["pixels"], about["image_shape"]) == ("uint8", [1, 28, 28])
    assert about["doubt"]["length"] == model.doubt.length
    assert Exported.from_json(json.dumps(about), "x").doubt == model.doubt


def test_scaling_and_standardisation_are_inside_the_graph(exports):
    model = standardized()
    images = example_images(model, 2, "uint8")
    with torch.inference_mode():
        expected = model(model.inputs(images)).lengths.numpy()
    given = run(exports / "standardized.onnx", image=images.numpy().astype(np.float32) / 255)
    assert np.allclose(expected, given["lengths"], atol=1e-5)
    assert [*given] == ["lengths", "poses", "reconstruction"]
    assert description(exports / "standardized.onnx")["pixels"] == "float"


def test_coupling_of_equal_logits_is_a_number_in_the_graph(exports):
    images = np.zeros((2, 1, 28, 28), np.uint8)
    assert np.isfinite(run(exports / "max-min.onnx", image=images)["lengths"]).all()


def test_int8_weights_take_a_quarter_and_change_little(exports):
    paths = exports / "digits/model.onnx", exports / "small.onnx"
    assert paths[1].stat().st_size < 0.3 * paths[0].stat().st_size
    onnx.checker.check_model(onnx.load(paths[1]), full_check=True)
    images = example_images(load("efficient-capsnet-mnist"), 4, "uint8").numpy()
    one, other = (run(path, image=images)["lengths"] for path in paths)
    assert 0 < np.abs(one - other).max() < 0.05


# of each class of models, except that in the folder of exports, the smallest preset, with as little as it can be of:
# operators take the time, whatever the sizes of their tensors
SMALL = {
    "attention-capsnet-small": {"stages": ((8, 1, 2),), "num_types": (4, 4, 4)},
    # and a backbone of one convolution
    "backbone-capsnet": {"num_types": 2},
    "baseline-cnn-quarter": {"channels": (4, 2), "kernel_sizes": (5, 5), "hidden": (8,)},
    # the class layer alone of the model of variational Bayes, whose windows are those of em-capsnet-tiny
    "capsnet-tiny": {
        "routing": "variational-bayes",
        "iterations": 1,
        "decoder": False,
        "stem_channels": 4,
        "num_types": 1,
    },
    "deepcaps-small": {"iterations": 2, "decoder": False, "stem_channels": 4, "num_types": 2},
    "em-capsnet-tiny": {"iterations": 1},
    # a second stage: its shortcut adds channels of zeros
    "resnet-20": {"stages": ((4, 1, 1), (6, 1, 2))},
    "self-routing-capsnet": {"stages": ((4, 1, 1),), "num_types": 2, "child_dim": 4},
}


COMPARE = f"""
import sys
from pathlib import Path
import numpy as np
import onnxruntime
import torch
from capsnet.interop.graph import AnswerGraph, example_images
from capsnet.interop.onnx import export
from capsnet.models import create_model
for name, options in {SMALL!r}.items():
    if name == "backbone-capsnet":
        options["backbone"] = torch.nn.Conv2d(3, 8, 3, 4)
    model, path = create_model(name, **options).eval(), Path(sys.argv[1], name + ".onnx")
    export(model, path)
    images = example_images(model, 5, "uint8")
    with torch.inference_mode():
        expected = AnswerGraph(model, "uint8")(images)
    given = onnxruntime.InferenceSession(path).run(None, {{"image": images.numpy()}})
    for one, other in zip(expected, given, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-5, atol=1e-5)
    print(name)
"""


def test_every_class_of_models_is_exported_with_equal_answers(tmp_path):
    tested = [*SMALL, "efficient-capsnet"]
    assert {MODELS.get(name).build for name in tested} == {MODELS.get(name).build for name in MODELS}
    # in a process without the run-time checks of the tests, which torch.export cannot trace
    done = subprocess.run([sys.executable, "-c", COMPARE, tmp_path], capture_output=True, text=True)
    assert done.stdout.split() == [*SMALL], done.stderr


def test_what_exists_is_not_overwritten(exports, capsys):
    assert main(["export", "efficient-capsnet-mnist", str(exports)]) == 2
    assert "exists; give another" in capsys.readouterr().err


def test_a_model_without_a_counterpart_says_why(exports):
    assert "the model cannot be exported to ONNX: No ONNX function found" in (exports / "fault.txt").read_text()
    assert not (exports / "none.onnx").exists()


def test_another_answer_is_refused():
    with pytest.raises(UserError, match=r"differs from the model by 1\.0e-01"):
        check_outputs([torch.zeros(2)], [torch.full((2,), 0.1)], 1e-4)
    with pytest.raises(UserError, match="differs"):
        check_outputs([torch.zeros(2)], [torch.full((2,), torch.nan)], 1e-4)


def test_decoder_is_compared_with_that_of_the_model(monkeypatch):
    model = load("efficient-capsnet-mnist")

    class Session:
        def __init__(self, path, providers):
            self.graph = DecoderGraph(model) if path.name == "decoder.onnx" else AnswerGraph(model, "uint8")
            # as if one weight of the decoder were lost
            self.fault = 0.1 if path.name == "decoder.onnx" else 0.0

        def run(self, names, inputs):
            with torch.inference_mode():
                outputs = self.graph(**{name: torch.from_numpy(array) for name, array in inputs.items()})
            return [output.numpy() + self.fault for output in outputs]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    assert onnx_module._compare_all(model, [Path("model.onnx")], "uint8", 1e-4) == 0
    with pytest.raises(UserError, match=r"differs from the model by 1\.0e-01"):
        onnx_module._compare_all(model, [Path("model.onnx"), Path("decoder.onnx")], "uint8", 1e-4)


@pytest.mark.parametrize(
    ("entry", "value", "fault"),
    [
        ("format_version", 99, "from a newer capsnet"),
        ("class_names", [], "class_names must be at least one"),
        ("image_shape", [1, 1 << 20, 1 << 20], "image_shape must be positive and below"),
        ("preparation", "none", "preparation"),
        ("pixel_range", [2.0, 1.0], "pixel_range must be"),
    ],
)
def test_a_description_of_a_stranger_is_checked(entry, value, fault):
    doubt = Doubt(0.5, 0.1, None, None, None, 200, 0.95)
    about = Exported(1, "0", "CapsNet", ("a",), (1, 8, 8), "uint8", "fit", None, False, doubt, "")
    values = json.loads(about.to_json())
    assert Exported.from_json(json.dumps(values), "m.onnx") == replace(about)
    with pytest.raises(UserError, match=rf"m\.onnx.*{fault}"):
        Exported.from_json(json.dumps({**values, entry: value}), "m.onnx")

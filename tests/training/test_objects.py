import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import capsnet
from capsnet.cli import main
from capsnet.layers import DenseCapsules, PrimaryCapsules

# a schedule that does not depend on the number of steps: runs are made longer
SHORT = {"schedule": "exponential", "steps": 10, "batch_size": 8, "shift": 0, "device": "cpu", "precision": "fp32"}


class Own(nn.Module):
    """Two layers of capsules, which the package does not have."""

    def __init__(self, classes=3):
        super().__init__()
        self.primary = PrimaryCapsules(1, 2, pose_dim=4, kernel_size=5)
        self.classes = DenseCapsules(4 * 4 * 2, classes, child_dim=4, parent_dim=6)

    def forward(self, images):
        return self.classes(self.primary(images))


@pytest.fixture
def arrays():
    generator = np.random.default_rng(0)
    labels = np.arange(90) % 3
    images = generator.integers(0, 40, (90, 12, 12)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 4 * label : 4 * label + 4] += 200
    return capsnet.Dataset.from_arrays(images, labels, class_names=("left", "middle", "right"))


@pytest.fixture
def own_run(arrays, tmp_path):
    torch.manual_seed(0)
    module = Own()
    return capsnet.train(model=module, data=arrays, out=tmp_path / "own", **SHORT), module


def test_own_module_is_trained_on_own_arrays(own_run):
    run, module = own_run
    config = json.loads((run.folder / "config.json").read_text())
    assert (config["model"]["name"], config["data"]["name"]) == ("custom: Own", "custom: arrays")
    assert config["optimizer"]["recon_weight"] == 0
    assert run.metrics()[-1]["step"] == 10
    torch.manual_seed(0)
    assert not Own().classes.weight.equal(module.classes.weight)


def test_a_run_of_an_own_module_asks_for_it(own_run, arrays):
    run, _ = own_run
    with pytest.raises(capsnet.UserError, match=r"own class, Own, .* pass it: run.load_model\(module\)"):
        run.load_model()
    model = run.load_model(Own())
    assert model.class_names == ("left", "middle", "right")
    result = run.evaluation()
    assert capsnet.evaluate(model, arrays).accuracy == result["test"]["accuracy"]
    assert len(capsnet.predict(model, arrays.test.images)) == result["test"]["n"]


def test_a_run_of_objects_is_shown_and_says_what_it_needs(own_run, capsys):
    run, _ = own_run
    assert main(["show", str(run.folder)]) == 0
    assert "custom: Own" in capsys.readouterr().out
    assert main(["evaluate", str(run.folder)]) == 2
    assert "own class, Own" in capsys.readouterr().err
    with pytest.raises(capsnet.UserError, match=r"no file holds \(custom: arrays\); give data"):
        capsnet.evaluate(run.load_model(Own()))


def test_a_routing_for_an_object_is_refused(arrays, tmp_path):
    with pytest.raises(capsnet.UserError, match="routing must be left out"):
        capsnet.train(model=Own(), data=arrays, routing="em", out=tmp_path / "run", **SHORT)


def test_a_run_of_objects_goes_on_with_them(own_run, arrays, tmp_path):
    run, _ = own_run
    with pytest.raises(capsnet.UserError, match="pass it: model="):
        capsnet.train(resume=run.folder, steps=14)
    with pytest.raises(capsnet.UserError, match="pass them: data="):
        capsnet.train(resume=run.folder, model=Own(), steps=14)
    resumed = capsnet.train(resume=run.folder, model=Own(), data=arrays, steps=14)
    torch.manual_seed(0)
    whole = capsnet.train(model=Own(), data=arrays, out=tmp_path / "whole", **{**SHORT, "steps": 14})
    last = [run.folder / "last" / "checkpoint.safetensors" for run in (resumed, whole)]
    first, second = (capsnet.runs.weights.read_tensors(path)[0] for path in last)
    assert all(first[name].equal(second[name]) for name in second if name.startswith("model."))


def test_a_model_of_the_package_is_taken_as_an_object(arrays, tmp_path):
    model = capsnet.create_model("capsnet-tiny", image_shape=(1, 20, 20), num_classes=3)
    bigger = replace(arrays, **{part: grown(getattr(arrays, part)) for part in ("train", "test")})
    run = capsnet.train(model=model, data=bigger, out=tmp_path / "run", **SHORT)
    assert run.config.model.name == "custom: CapsNet"
    assert run.config.optimizer.recon_weight > 0


def grown(part):
    return replace(part, images=nn.functional.pad(part.images, (4, 4, 4, 4)))


@pytest.fixture
def four_classes():
    digits = capsnet.data.load_data("digits")
    parts = {}
    for name in ("train", "test"):
        part = getattr(digits, name)
        kept = part.select((part.labels < 4).nonzero()[:100, 0])
        parts[name] = replace(kept, class_names=part.class_names[:4])
    return replace(digits, **parts)


def test_weights_of_ten_classes_start_a_run_of_four(four_classes, tmp_path, capsys):
    ten = tmp_path / "ten"
    capsnet.train(model="capsnet-tiny", limit=64, test_limit=10, out=ten, **SHORT)
    run = capsnet.train(start_from=ten, data=four_classes, out=tmp_path / "four", lr=1e-30, lr_floor=0.0, **SHORT)
    before, after = capsnet.load(ten), run.load_model()
    assert run.config.model.name == "capsnet-tiny"
    torch.testing.assert_close(after.stem.weight, before.stem.weight)
    said = capsys.readouterr().err
    assert "class_capsules.weight" in said.partition("so they keep their initial values")[2]
    assert "stem.weight" not in said
    assert len(after.class_names) == 4


def test_weights_of_another_model_do_not_start_a_run(tmp_path):
    with pytest.raises(capsnet.UserError, match="none of its weights fits"):
        capsnet.train(start_from="efficient-capsnet-mnist", model="em-capsnet-tiny", out=tmp_path / "run", **SHORT)


def test_names_runs_and_models_are_evaluated_alike(tmp_path):
    run = capsnet.train(model="capsnet-tiny", limit=64, test_limit=20, out=tmp_path / "run", **SHORT)
    digits = capsnet.evaluate(run, "digits").accuracy
    assert capsnet.evaluate(str(run.folder), "digits").accuracy == digits
    assert capsnet.evaluate(run.load_model(), "digits").accuracy == digits


def test_tied_weights_are_saved_and_loaded(arrays, tmp_path):
    class Tied(Own):
        def __init__(self):
            super().__init__()
            self.same = self.classes

    run = capsnet.train(model=Tied(), data=arrays, out=tmp_path / "tied", **{**SHORT, "steps": 2})
    loaded = run.load_model(Tied())
    assert capsnet.evaluate(loaded, arrays).accuracy == run.evaluation()["test"]["accuracy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": np.zeros((4, 8, 8))}, r"data must be a name, .* make one with Dataset\.from_arrays"),
        ({"start_from": torch.nn.Identity()}, "start_from must be a run, a folder, a file or a name, got Identity"),
    ],
)
def test_objects_of_another_type_are_refused(arguments, message, unchecked):
    with pytest.raises(capsnet.UserError, match=message):
        capsnet.train(**arguments)

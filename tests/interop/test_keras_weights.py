"""Files of other people's Keras networks become runs that compute the same, and runs become such files."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from tests.interop import keras_files

from capsnet import UserError
from capsnet.cli import main
from capsnet.data.dataset import Dataset, ImageData
from capsnet.data.inputs import Inputs
from capsnet.data.smallnorb import CLASS_NAMES
from capsnet.inference.predictions import read_predictions
from capsnet.interop import keras_weights
from capsnet.interop.keras_sizes import describe_changes
from capsnet.interop.keras_weights import export, import_weights
from capsnet.models import create_model
from capsnet.runs import Run, load
from capsnet.runs.weights import ModelSpec, save_weights
from capsnet.training import train


@pytest.fixture
def arrays(tmp_path):
    """A data set of three classes of images of 20x20 pixels, in a file."""
    path = tmp_path / "images.npz"
    images = np.random.default_rng(0).integers(0, 256, (60, 20, 20), dtype="u1")
    np.savez(path, images=images, labels=np.arange(60) % 3)
    return path


def write(tmp_path, layers, **options):
    return keras_files.write_keras_2(tmp_path / "trained_model.h5", layers, **options)


def differences(run, weights, expected):
    """The largest differences of lengths and reconstructions."""
    lengths, drawn = expected
    model = run.load_model()
    with torch.no_grad():
        output = model(torch.from_numpy(weights.images).permute(0, 3, 1, 2))
        images = model.reconstruct(output.capsules).permute(0, 2, 3, 1)
    assert lengths.min() > 0.01
    return np.abs(output.lengths.numpy() - lengths).max(), np.abs(images.numpy() - drawn).max()


LAYOUTS = {
    "newest": keras_files.newest_layers,
    "other numbers of layers": lambda weights: keras_files.newest_layers(weights, start=9),
    "project": keras_files.project_layers,
    # as text, conv2d_100 would go before conv2d_99
    "project, more digits": lambda weights: keras_files.project_layers(weights, start=99),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("whole", [False, True])
def test_network_of_a_file_computes_the_same(tmp_path, arrays, layout, whole):
    weights = keras_files.draw()
    path = write(tmp_path, LAYOUTS[layout](weights), whole=whole)
    run = import_weights(path, tmp_path / "run", data=str(arrays))
    expected = keras_files.answer(weights, by_kind="project" in layout)
    assert max(differences(run, weights, expected)) < 1e-4


def test_first_version_is_read(tmp_path, arrays):
    weights = keras_files.draw()
    weights.decoder[0] = (weights.decoder[0][0][:6], weights.decoder[0][1])
    run = import_weights(write(tmp_path, keras_files.first_layers(weights)), tmp_path / "run", data=str(arrays))
    assert max(differences(run, weights, keras_files.answer(weights))) < 1e-4


def test_learned_logits_are_refused(tmp_path, arrays):
    path = write(tmp_path, keras_files.first_layers(keras_files.draw(), bias=0.1))
    with pytest.raises(UserError, match=r"'bias:0' holds learned routing logits"):
        import_weights(path, tmp_path / "run", data=str(arrays))


def test_colours_are_channels_first_here(tmp_path):
    weights = keras_files.draw(channels=3)
    images = np.zeros((6, 20, 20, 3), "u1")
    np.savez(tmp_path / "colours.npz", images=images, labels=np.arange(6) % 3)
    run = import_weights(
        write(tmp_path, keras_files.newest_layers(weights)), tmp_path / "run", data=str(tmp_path / "colours.npz")
    )
    assert max(differences(run, weights, keras_files.answer(weights))) < 1e-4


def test_iterations_are_those_of_a_whole_model(tmp_path, arrays):
    weights = keras_files.draw()
    config = json.dumps({"config": {"layers": [{"config": {"num_capsule": 3, "routings": 2}}]}})
    path = write(tmp_path, keras_files.newest_layers(weights), whole=True, config=config)
    run = import_weights(path, tmp_path / "run", data=str(arrays))
    assert run.config.model.iterations == 2
    assert max(differences(run, weights, keras_files.answer(weights, routings=2))) < 1e-4
    with pytest.raises(UserError, match=r"iterations must be 2, as .* states, got 3"):
        import_weights(path, tmp_path / "again", data=str(arrays), iterations=3)


def test_export_is_read_as_the_same_network(tmp_path, arrays):
    weights = keras_files.draw()
    path = write(tmp_path, keras_files.newest_layers(weights))
    run = import_weights(path, tmp_path / "run", data=str(arrays))
    assert "capsulenet.py -t -r 3" in export(run.folder, tmp_path / "out.h5")[1]
    with h5py.File(path) as before, h5py.File(tmp_path / "out.h5") as after:
        names = (
            "conv1/conv1/kernel:0",
            "digitcaps/digitcaps/W:0",
            "decoder/dense_2/kernel:0",
            "decoder/dense_2/bias:0",
        )
        for name in names:
            np.testing.assert_array_equal(before[name], after[name])
        assert list(after.attrs["layer_names"]) == ["conv1", "primarycap_conv2d", "digitcaps", "decoder"]


@pytest.mark.parametrize("kind", ["mnist", "multimnist"])
def test_efficient_capsnet_computes_the_same(tmp_path, kind):
    path = write(tmp_path, keras_files.efficient_layers(kind))
    run = import_weights(path, tmp_path / "run")
    side, unit = {"mnist": (28, 256), "multimnist": (36, 255)}[kind]
    pixels = np.random.default_rng(1).integers(0, 256, (3, side, side, 1)).astype("float32")
    with torch.no_grad():
        # of stored pixels, whatever each side divides them by
        lengths = run.load_model()(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255).lengths.numpy()
    np.testing.assert_allclose(lengths, keras_files.answer_efficient(kind, pixels / unit), atol=1e-4)
    export(run.folder, tmp_path / "out.h5")
    with h5py.File(path) as before, h5py.File(tmp_path / "out.h5") as after:
        for group in after:
            for one, other in zip(before[group].attrs["weight_names"], after[group].attrs["weight_names"], strict=True):
                np.testing.assert_allclose(before[group][one], after[group][other], rtol=1e-6)


def test_original_capsnet_of_efficient_capsnet_computes_the_same(tmp_path, arrays):
    weights, bias = keras_files.draw(), np.linspace(-0.3, 0.3, 18, dtype="f4").reshape(3, 6)
    path = write(tmp_path, keras_files.original_layers(weights, bias))
    run = import_weights(path, tmp_path / "run", data=str(arrays), iterations=2)
    # its authors divide pixels by 256
    theirs = replace(weights, images=weights.images * 255 / 256)
    expected = keras_files.answer(theirs, routings=2, scale=1 / keras_files.KINDS, bias=bias)
    assert max(differences(run, weights, expected)) < 1e-5
    assert "n_routing=2" in export(run.folder, tmp_path / "out.h5")[1]
    with h5py.File(path) as before, h5py.File(tmp_path / "out.h5") as after:
        assert list(after) == list(before)
        for group in after:
            for name in before[group].attrs["weight_names"]:
                np.testing.assert_allclose(after[group][name], before[group][name], rtol=1e-6)


def test_smallnorb_is_standardised_by_the_first_convolution(tmp_path, monkeypatch):
    images = torch.randint(0, 256, (4, 2, 96, 96), dtype=torch.uint8)
    images[:, 1] //= 3
    part = ImageData(images, torch.arange(4), CLASS_NAMES)
    monkeypatch.setattr(keras_weights, "load_smallnorb", lambda _: Dataset("smallnorb", part, part))
    layers = keras_files.efficient_layers("smallnorb")
    run = import_weights(write(tmp_path, layers), tmp_path / "run")
    model, plain = run.load_model(), create_model("efficient-capsnet-smallnorb").eval()
    kernel, bias = (torch.from_numpy(layers[0][1][f"conv2d_4/{name}:0"]) for name in ("kernel", "bias"))
    state = {**model.state_dict(), "stem.0.weight": kernel.permute(3, 2, 0, 1), "stem.0.bias": bias}
    plain.load_state_dict(state)
    seen = images.double()
    mean, std = seen.mean(dim=(0, 2, 3)), seen.std(dim=(0, 2, 3), correction=0)
    patch = images[:, :, :48, :48]
    standard = ((patch - mean[:, None, None]) / std[:, None, None]).float()
    with torch.no_grad():
        torch.testing.assert_close(model(patch / 255).lengths, plain(standard).lengths, rtol=0, atol=1e-5)
    assert model.inputs(images).shape == (4, 2, 48, 48)


def test_file_of_another_network_is_refused_with_what_it_holds(tmp_path):
    kernel, bias = np.zeros((3, 3, 1, 8), "f4"), np.zeros(8, "f4")
    path = write(tmp_path, [("conv", {"conv/kernel:0": kernel, "conv/bias:0": bias})])
    with pytest.raises(UserError, match=r"got 1 convolutions \(3x3x1x8 and 8\); expected CapsNet-Keras'"):
        import_weights(path, tmp_path / "run")


def test_matrices_that_do_not_fit_are_refused(tmp_path, arrays):
    weights = keras_files.draw()
    weights.matrices = weights.matrices[:, :7]
    path = write(tmp_path, keras_files.newest_layers(weights))
    with pytest.raises(UserError, match=r"capsule matrices 3x7x6x4 do not fit .* 32 or 800 numbers"):
        import_weights(path, tmp_path / "run", data=str(arrays))
    assert not (tmp_path / "run").exists()


def test_numbers_that_are_not_finite_are_refused(tmp_path, arrays):
    weights = keras_files.draw()
    weights.stem[1][0] = np.nan
    path = write(tmp_path, keras_files.newest_layers(weights))
    with pytest.raises(UserError, match=r"'stem.bias' holds NaN or infinity"):
        import_weights(path, tmp_path / "run", data=str(arrays))


def test_network_without_a_data_set_of_its_own_needs_one(tmp_path):
    path = write(tmp_path, keras_files.newest_layers(keras_files.draw()))
    with pytest.raises(UserError, match="give `data`"):
        import_weights(path, tmp_path / "run")


def test_imported_run_says_where_it_is_from_and_is_not_resumed(tmp_path, arrays):
    path = write(tmp_path, keras_files.newest_layers(keras_files.draw()))
    run = import_weights(path, tmp_path / "run", data=str(arrays), iterations=2)
    imported = Run.open(run.folder).imported()
    assert imported.source == "CapsNet-Keras"
    assert imported.file == str(path)
    assert imported.command.endswith(f"--data {arrays} --iterations 2")
    assert imported.notes == ("the file does not name its classes: taken in the order 0, 1, 2",)
    # with the sizes of its decoder, so that a run of this configuration has the same network
    assert run.config.model.options["decoder_hidden"] == (7,)
    assert "imported from CapsNet-Keras, not tested here" in run._repr_html_()
    with pytest.raises(UserError, match="was imported, not trained here"):
        train(resume=run.folder)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("capsnet", {"leaky": True}, "dynamic routing without bias"),
        ("capsnet-authors", {"leaky": True}, "dynamic routing with a bias, no class for none"),
        ("capsnet-tiny", {"decoder": False}, "has a decoder, this one has none"),
        ("baseline-cnn", {}, "has no form in Keras"),
    ],
)
def test_network_that_keras_has_not_is_not_exported(tmp_path, model, options, message):
    path = tmp_path / "weights.safetensors"
    # a wide network would take seconds to write
    small = {} if model == "baseline-cnn" else {"stem_channels": 8, "num_types": 2}
    spec = ModelSpec(model, {**options, **small}, tuple("0123456789"), "digit", "mnist")
    save_weights(path, spec.build(), spec)
    with pytest.raises(UserError, match=message):
        export(path, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_scale_of_the_primary_capsules_is_part_of_their_weights(tmp_path):
    path = tmp_path / "weights.safetensors"
    options = {"primary_scale": 0.25, "num_types": 2, "stem_channels": 4}
    spec = ModelSpec("capsnet", options, tuple("0123456789"), "digit", "mnist")
    model = spec.build()
    save_weights(path, model, spec)
    export(path, tmp_path / "out.h5")
    again = import_weights(tmp_path / "out.h5", tmp_path / "run").load_model()
    images = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(again(images).lengths, model(images).lengths)


def write_own(tmp_path, model="capsnet", inputs=None, **options):
    """A weights file of a small network of this package."""
    small = {"stem_channels": 8, "num_types": 2, "decoder_hidden": (8,)} if model.startswith("capsnet") else {}
    spec = ModelSpec(model, {**small, **options}, tuple("0123456789"), "digit", "mnist", inputs)
    save_weights(tmp_path / "own.safetensors", spec.build(), spec)
    return tmp_path / "own.safetensors"


def test_exported_command_has_the_iterations_of_the_network(tmp_path):
    path = write_own(tmp_path, routing_options={"iterations": 1})
    assert "capsulenet.py -t -r 1 -w" in export(path, tmp_path / "out.h5")[1]
    path = write_own(tmp_path, "capsnet-authors", iterations=None)
    assert "n_routing=3" in export(path, tmp_path / "authors.h5")[1]


def test_sizes_that_a_script_does_not_have_are_named(tmp_path):
    *_, line = export(write_own(tmp_path), tmp_path / "out.h5")
    assert line == (
        "before that, change these sizes in its script: channels of the first convolution: 8, there 256; "
        "types of primary capsules: 2, there 32; hidden layers of the decoder: 8, there 512x1024"
    )
    assert describe_changes(ModelSpec("capsnet", {"decoder_hidden": [512, 1024]}, ("a",), "fit", "")) == []
    spec = ModelSpec("efficient-capsnet", {"num_classes": 3}, ("a",), "fit", "")
    assert describe_changes(spec) == ["before that, change these sizes in its script: classes: 3, there 10"]


@pytest.mark.parametrize("model", ["capsnet", "efficient-capsnet"])
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (Inputs((1, 28, 28), standardize=True), "takes patches, scaled or standardised images"),
        (Inputs((1, 28, 28), pixel_range=(0.0, 4095.0)), "whose values 0 and 4095 become black and white"),
    ],
)
def test_inputs_that_a_script_does_not_make_are_refused(tmp_path, model, inputs, message):
    with pytest.raises(UserError, match=message):
        export(write_own(tmp_path, model, inputs), tmp_path / "out.h5")


def test_range_of_deep_images_comes_with_their_folder(tmp_path):
    images = np.random.default_rng(0).integers(0, 4096, (6, 20, 20), dtype="u2")
    for number, image in enumerate(images):
        folder = tmp_path / "scans" / "cab"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    path = write(tmp_path, keras_files.newest_layers(keras_files.draw()))
    run = import_weights(path, tmp_path / "run", data=str(tmp_path / "scans"))
    assert run.load_model().inputs.pixel_range == run.config.data.pixel_range == (0.0, 4095.0)
    assert "the file does not name its classes: taken in the order a, b, c" in run.imported().notes


def test_image_size_is_refused_where_it_would_have_no_effect(tmp_path, arrays):
    path = write(tmp_path, keras_files.efficient_layers("mnist"))
    with pytest.raises(UserError, match="image_size must be left out, got 28"):
        import_weights(path, tmp_path / "run", image_size=28)
    weights, bias = keras_files.draw(), np.zeros((3, 6), "f4")
    path = write(tmp_path, keras_files.original_layers(weights, bias))
    with pytest.raises(UserError, match="image_size must be 20, what its decoder draws, got 24"):
        import_weights(path, tmp_path / "run", data=str(arrays), image_size=24)


def test_recorded_command_repeats_the_import(tmp_path, arrays):
    weights = keras_files.draw()
    path = write(tmp_path, keras_files.newest_layers(weights)[:-1])
    run = import_weights(path, tmp_path / "run", data=str(arrays), data_dir=tmp_path, image_size=20)
    assert run.imported().command.endswith(f"--data {arrays} --iterations 3 --image-size 20 --data-dir {tmp_path}")


@pytest.mark.parametrize("name", ["out.weights.h5", "out.keras"])
def test_export_is_named_h5(tmp_path, name):
    with pytest.raises(UserError, match=r"must end in \.h5"):
        export(Path("capsnet-mnist"), tmp_path / name)


@pytest.mark.parametrize("use", [load, Run.open])
def test_keras_file_in_place_of_a_run_names_the_import(tmp_path, use):
    path = write(tmp_path, keras_files.newest_layers(keras_files.draw()))
    with pytest.raises(UserError, match="is a Keras file; convert it to a run first: capsnet import-keras"):
        use(path)


def test_commands_import_test_and_export(tmp_path, arrays, capsys):
    path = write(tmp_path, keras_files.newest_layers(keras_files.draw()))
    run, out = str(tmp_path / "run"), str(tmp_path / "out.h5")
    assert main(["import-keras", str(path), run, "--data", str(arrays)]) == 0
    assert capsys.readouterr().out.startswith("CapsNet-Keras: model capsnet, 20x20x1 images")
    assert main(["evaluate", run, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["split"] == "test"
    assert main(["evaluate", run, "--split", "train"]) == 0
    stored = Run.open(run)
    assert stored.evaluation()["test"]["accuracy"] == result["accuracy"]
    assert read_predictions(stored).labels.bincount().sum() == result["n"]
    assert stored._repr_html_().endswith("imported from CapsNet-Keras</div>")
    capsys.readouterr()
    assert main(["show", run]) == 0
    shown = capsys.readouterr().out
    assert "imported from CapsNet-Keras: test error" in shown
    # nothing was trained here
    assert "recipe" not in shown
    assert "epochs" not in shown
    assert main(["export", run, out, "--format", "keras"]) == 0
    written, load_line, sizes = capsys.readouterr().out.splitlines()
    assert (written, load_line) == (out, f"load it with CapsNet-Keras: python capsulenet.py -t -r 3 -w {out}")
    assert sizes.startswith("before that, change these sizes in its script: images (channels, height, width): 1x20x20")
    assert main(["import-keras", out, run]) == 2
    assert capsys.readouterr().err == f"capsnet: {run} exists; give another folder\n"

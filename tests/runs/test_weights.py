import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import capsnet
from capsnet.errors import UserError
from capsnet.models import create_model, list_models
from capsnet.runs.weights import on_meta, read_spec


def test_loaded_model_is_the_one_that_was_saved(tiny_run):
    model = capsnet.load(tiny_run.folder)
    assert not model.training
    assert model.input_shape == (1, 28, 28)
    assert model.class_names == tuple("0123456789")
    again = capsnet.load(tiny_run.folder / "weights.safetensors")
    images = torch.rand(2, 1, 28, 28)
    assert model(images).lengths.equal(again(images).lengths)


def test_loading_draws_no_random_number(tiny_run):
    before = torch.get_rng_state()
    capsnet.load(tiny_run.folder)
    assert torch.get_rng_state().equal(before)


def rewrite(tiny_run, path, change, metadata=None):
    source = tiny_run.folder / "weights.safetensors"
    tensors = load_file(source)
    with capsnet.runs.weights.safe_open(source, framework="pt") as file:
        original = file.metadata()
    change(tensors)
    save_file(tensors, path, original if metadata is None else metadata(original))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("stem.weight"), "'stem.weight' is missing"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "it has no 'extra'"),
        (lambda tensors: tensors.update({"stem.bias": torch.zeros(3)}), r"'stem.bias' is \(3,\) in the file, \(16,\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tiny_run, tmp_path, change, words):
    rewrite(tiny_run, tmp_path / "w.safetensors", change)
    with pytest.raises(UserError, match=words):
        capsnet.load(tmp_path / "w.safetensors")


def test_weights_of_a_newer_version_are_refused(tiny_run, tmp_path):
    def newer(metadata):
        return {"capsnet": json.dumps(json.loads(metadata["capsnet"]) | {"format_version": 9})}

    rewrite(tiny_run, tmp_path / "w.safetensors", lambda tensors: None, newer)
    with pytest.raises(UserError, match="newer capsnet"):
        capsnet.load(tmp_path / "w.safetensors")


def test_weights_of_the_first_version_are_read(tiny_run, tmp_path):
    def older(metadata):
        values = json.loads(metadata["capsnet"])
        del values["inputs"], values["pairing"]
        return {"capsnet": json.dumps(values | {"format_version": 1})}

    rewrite(tiny_run, tmp_path / "w.safetensors", lambda tensors: None, older)
    images = torch.randint(0, 256, (2, 1, 28, 28), dtype=torch.uint8)
    assert capsnet.load(tmp_path / "w.safetensors").inputs(images).equal(images.float() / 255)


def test_weights_with_older_names_are_read_without_a_warning(tmp_path):
    model, path = create_model("capsnet-tiny", num_types=2, parent_dim=6).eval(), tmp_path / "w.safetensors"
    older = {"primary_types": 2, "class_dim": 6, "routing": "dynamic"}
    values = {"model": "capsnet-tiny", "options": older, "class_names": [str(k) for k in range(10)]}
    metadata = {"capsnet": json.dumps({**values, "preparation": "fit", "data": "", "format_version": 3})}
    save_file(model.state_dict(), path, metadata)
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(capsnet.load(path)(images).lengths, model(images).lengths)
    assert read_spec(path).options == {"num_types": 2, "parent_dim": 6, "routing": "dynamic"}


def test_files_that_are_no_weights_are_refused(tiny_run, tmp_path):
    whole = (tiny_run.folder / "weights.safetensors").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "pickle").write_bytes(b"\x80\x04K\x01.")
    save_file({"a": torch.zeros(1)}, tmp_path / "other")
    for name, words in (
        ("cut", "not a complete safetensors"),
        ("pickle", "not a complete"),
        ("other", "holds tensors but not"),
    ):
        with pytest.raises(UserError, match=words):
            capsnet.load(tmp_path / name)
    with pytest.raises(UserError, match="no such run folder or weights file"):
        capsnet.load(tmp_path / "nothing")


def test_every_model_is_loaded_as_it_was_saved_whatever_memory_held(tmp_path):
    """In a process of its own: initialisations that draw until they are within bounds must end on any memory."""
    program = f"""
import torch
from pathlib import Path
from capsnet.models import create_model, list_models
from capsnet.runs.weights import ModelSpec, load_weights, save_weights
for name in list_models():
    model, path = create_model(name).eval(), Path({str(tmp_path / "w.safetensors")!r})
    save_weights(path, model, ModelSpec(name, {{}}, model.class_names, "fit", "digits"))
    for size in (100, 3_000, 70_000, 2_000_000):
        held = [torch.full((size,), 9.0) for _ in range(20)]
        del held
    loaded = load_weights(path)
    before, after = dict(model.state_dict()), dict(loaded.state_dict())
    computed = [dict(m.named_buffers()) for m in (model, loaded)]
    assert before.keys() == after.keys() and computed[0].keys() == computed[1].keys()
    assert all(after[key].equal(before[key]) for key in before)
    assert all(computed[1][key].equal(computed[0][key]) for key in computed[0])
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    print(name)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, timeout=300, capture_output=True, text=True)
    assert done.stdout.split() == list_models()


def test_numbers_that_are_not_finite_are_refused_by_name(tiny_run, tmp_path):
    rewrite(tiny_run, tmp_path / "w.safetensors", lambda tensors: tensors["stem.bias"].fill_(float("nan")))
    with pytest.raises(UserError, match=r"'stem\.bias' holds NaN or infinity"):
        capsnet.load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.complex64])
def test_numbers_of_another_kind_are_refused_by_name(tiny_run, tmp_path, kind):
    def change(tensors):
        tensors["stem.bias"] = tensors["stem.bias"].to(kind)

    rewrite(tiny_run, tmp_path / "w.safetensors", change)
    with pytest.raises(UserError, match=f"'stem.bias' holds numbers of the type {str(kind)[6:]}, expected float32"):
        capsnet.load(tmp_path / "w.safetensors")


def changed(values):
    return lambda metadata: {"capsnet": json.dumps(values(json.loads(metadata["capsnet"])))}


def options(**values):
    return lambda metadata: metadata | {"options": metadata["options"] | values}


def inputs(**values):
    return lambda metadata: metadata | {"inputs": metadata["inputs"] | values}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (options(num_classes=10**9), r"'options.num_classes' is 1000000000, the limit is 65,536"),
        (options(iterations=10**7), r"'options.iterations' is 10000000, the limit is 1,000"),
        (options(routing_options={"iterations": 10**7}), r"'options.routing_options.iterations' is 10000000"),
        (options(image_shape=[1, 50_000, 50_000]), r"'options.image_shape' is 50000, the limit is 4,096"),
        (options(stem_channels=10**30), r"'options.stem_channels' is 10000000000000000000\.\.\., the limit is 65,536"),
        (options(decoder_hidden=[5] * 100_000), r"'options.decoder_hidden' has 100,000 values"),
        (options(stem_channels="many"), r"'options.stem_channels' must be an integer, got 'many'"),
        (options(leaky=1), r"'options.leaky' must be true or false or null, got 1"),
        (options(device="cuda"), r"'options.device'"),
        (options(kernel_size=0), r"w.safetensors: "),
        (inputs(enlarge=20_000), r"'inputs.enlarge' is 20000, the limit is 4,096"),
        (inputs(crop="x"), r"'inputs.crop' must be an integer, got 'x'"),
        (inputs(image_shape=[28]), r"'inputs.image_shape' must be a list of 3, got \[28\]"),
        (inputs(image_shape=[1, 30, 30]), r"inputs are \(1, 30, 30\), the model .* is for \(1, 28, 28\)"),
        (lambda values: values | {"class_names": ["a"]}, "class_names must be 10, .* got 1"),
        (lambda values: values | {"class_names": 3}, "'class_names' must be a list, got 3"),
        (lambda values: values | {"format_version": "x"}, "format x"),
        (lambda values: {"format_version": 2}, "the entry 'class_names' is missing"),
        (lambda values: [values], "is not that of a model|holds tensors but not"),
    ],
)
def test_absurd_metadata_are_refused_before_anything_is_built(tiny_run, tmp_path, values, words):
    rewrite(tiny_run, tmp_path / "w.safetensors", lambda tensors: None, changed(values))
    with pytest.raises(UserError, match=words):
        capsnet.load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\x00", '{"a": ' * 40 + "1" + "}" * 40, "1" * 5000, "NaN"])
def test_metadata_that_are_no_json_are_refused(tiny_run, tmp_path, text):
    rewrite(tiny_run, tmp_path / "w.safetensors", lambda tensors: None, lambda metadata: {"capsnet": text})
    with pytest.raises(UserError, match=r"w\.safetensors(:| holds| is not JSON)"):
        capsnet.load(tmp_path / "w.safetensors")


def test_coordinates_of_an_absurd_image_are_refused_before_they_are_laid_out():
    with pytest.raises(UserError, match=r"indices or coordinates, the limit is 134,217,728"), on_meta():
        create_model("em-capsnet", image_shape=(1, 2048, 2048), sizes=(64, 8, 128, 128))


def test_weights_in_a_folder_whose_name_is_not_utf8_are_loaded(tiny_run, tmp_path):
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/\xff"))
    folder.mkdir()
    (folder / "w.safetensors").write_bytes(tiny_run.weights_path.read_bytes())
    assert capsnet.load(folder / "w.safetensors").class_names == tuple("0123456789")

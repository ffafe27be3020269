import json

import pytest
import torch
from safetensors.torch import load_file, save_file

import capsnet
from capsnet.errors import UserError
from capsnet.inference.evaluate import find_inputs


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
    assert find_inputs(capsnet.load(tmp_path / "w.safetensors"))(images).equal(images.float() / 255)


def test_files_that_are_no_weights_are_refused(tiny_run, tmp_path):
    whole = (tiny_run.folder / "weights.safetensors").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "pickle").write_bytes(b"\x80\x04K\x01.")
    save_file({"a": torch.zeros(1)}, tmp_path / "other")
    for name, words in (
        ("cut", "not a whole safetensors"),
        ("pickle", "not a whole"),
        ("other", "holds tensors but not"),
    ):
        with pytest.raises(UserError, match=words):
            capsnet.load(tmp_path / name)
    with pytest.raises(UserError, match="no such run folder or weights file"):
        capsnet.load(tmp_path / "nothing")

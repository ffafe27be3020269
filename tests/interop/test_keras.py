"""The Keras layers compute what those of PyTorch compute, on two backends, each in a process of its own."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from capsnet.functional import squash
from capsnet.interop.hdf5 import read_keras_file
from capsnet.layers import ConvReLU, DenseCapsules, PrimaryCapsules
from capsnet.layers.decoder import mask_capsules
from capsnet.losses import margin_loss

SCRIPT = Path(__file__).with_name("keras_layers.py")


def given():
    """Weights, images and what the layers of PyTorch make of them."""
    stem, primary = ConvReLU(1, 8, 5), PrimaryCapsules(8, 2, pose_dim=4, kernel_size=5)
    digits = DenseCapsules(72, 3, child_dim=4, parent_dim=6)
    for layer in (stem, primary.conv):
        torch.nn.init.normal_(layer.weight, std=0.3)
        torch.nn.init.normal_(layer.bias, std=0.1)
    images, vectors = torch.rand(7, 1, 20, 20), torch.randn(5, 4) * torch.tensor([[3.0], [1], [0.1], [1e-3], [0]])
    labels = torch.arange(7) % 3
    with torch.no_grad():
        routed = digits(primary(stem(images)))
        longest = mask_capsules(routed.poses, routed.activations.argmax(dim=1))
        values = {
            "stem_weight": stem.weight.permute(2, 3, 1, 0),
            "stem_bias": stem.bias,
            "primary_weight": primary.conv.weight.permute(2, 3, 1, 0),
            "primary_bias": primary.conv.bias,
            "matrices": digits.weight.permute(2, 0, 3, 1),
            "images": images.permute(0, 2, 3, 1),
            "poses": routed.poses,
            "lengths": routed.activations,
            "vectors": vectors,
            "squashed": squash(vectors),
            "targets": torch.nn.functional.one_hot(labels, 3).float(),
            "loss": margin_loss(routed.activations, labels),
            "masked": mask_capsules(routed.poses, labels).flatten(1),
            "longest": longest.flatten(1),
        }
    assert routed.activations.min() > 0.01
    return {name: value.detach().numpy() for name, value in values.items()}


@pytest.fixture(scope="module", params=["torch", "jax"])
def facts(request, shared_folder):
    """What the script found, with one backend."""
    folder = shared_folder(f"keras-{request.param}", partial(find_facts, request.param))
    return {**json.loads((folder / "facts.json").read_text()), "folder": folder, "asked": request.param}


def find_facts(backend, folder):
    """Run the script with one backend."""
    torch.manual_seed(0)
    np.savez(folder / "given.npz", **given())
    environment = {**os.environ, "KERAS_BACKEND": backend, "KERAS_HOME": str(folder), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder / "given.npz"), str(folder)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "facts.json").write_text(done.stdout.splitlines()[-1])


def test_layers_equal_those_of_torch(facts):
    assert facts["backend"] == facts["asked"]
    for name in ("poses", "squash", "margin_loss", "masked", "longest"):
        assert facts[name] < 1e-5, name
    # 1e-7 under the root of Length is 5e-6 at a length of 0.01
    assert facts["lengths"] < 1e-5


def test_torch_stays_out_of_another_backend(facts):
    assert facts["torch"] == (facts["asked"] == "torch")


def test_model_learns_and_is_loaded_from_its_file(facts):
    assert facts["learned"]
    assert facts["reloaded"] < 1e-6
    assert facts["routings"] == 3


def test_routing_stays_in_float32_under_mixed_precision(facts):
    assert facts["mixed_type"] == "float32"
    # what is left is that the convolutions round to 8 bits
    assert facts["mixed"] < 0.05


@pytest.mark.parametrize("name", ["model.weights.h5", "model.keras"])
def test_files_of_keras_3_are_read(facts, name):
    layers = read_keras_file(facts["folder"] / name).layers
    assert {layer.shapes for layer in layers} == {
        ((5, 5, 1, 8), (8,)),
        ((5, 5, 8, 8), (8,)),
        ((3, 72, 6, 4),),
        ((18, 400), (400,)),
    }

"""The example that replaces CapsNet-Keras' script: its flags, its files, and weights in both directions."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import capsnet
from capsnet.interop.keras_weights import export, import_weights

EXAMPLE = Path(__file__).parents[2] / "examples" / "capsulenet_keras.py"
# the example in a process of its own, as Keras is, on 36 training images and 60 test images
SCRIPT = f"""
import sys
sys.path.insert(0, {str(EXAMPLE.parent)!r})
import numpy as np
import capsulenet_keras as example

(x, y), (x_test, y_test) = example.load_arrays("digits")
tiny = (x[:36], y[:36]), (x_test[:60], y_test[:60])
example.load_arrays = lambda name: tiny
"""


def run(folder, lines):
    environment = {**os.environ, "KERAS_BACKEND": "torch", "KERAS_HOME": str(folder)}
    words = [sys.executable, "-W", "error::UserWarning", "-c", SCRIPT + lines]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a network was trained for two steps, and weights of this package were tested."""
    folder = tmp_path_factory.mktemp("keras")
    export(Path("capsnet-mnist"), folder / "exported.h5")
    run(
        folder,
        """
example.main("--epochs 1 --batch_size 8 --steps 2 --shift_fraction 0.1 -r 2 --save_dir result".split())
example.main("-t -w exported.h5 --digit 3 --save_dir tested".split())
x, y = tiny[1]
_, evaluation, _ = example.CapsNet(x.shape[1:], 10, 3)
evaluation.load_weights("exported.h5")
np.savez("exported.npz", *evaluation.predict(x[:5], verbose=0))
_, evaluation, _ = example.CapsNet(x.shape[1:], 10, 2)
evaluation.load_weights("result/trained_model.weights.h5")
np.savez("trained.npz", *evaluation.predict(x[:5], verbose=0))
np.save("images.npy", x[:5])
""",
    )
    return folder


def answers(model, folder):
    images = torch.from_numpy(np.load(folder / "images.npy")).permute(0, 3, 1, 2)
    with torch.no_grad():
        output = model(images)
        drawn = model.reconstruct(output.capsules)
    return output.lengths.numpy(), drawn.permute(0, 2, 3, 1).numpy()


def read(path):
    with np.load(path) as file:
        return dict(file)


def test_training_writes_log_and_weights(folder):
    header, row = (folder / "result" / "log.csv").read_text().splitlines()
    assert header.startswith("epoch,capsnet_accuracy,capsnet_loss,decoder_loss,loss")
    assert row.startswith("0,")
    assert (folder / "result" / "trained_model.weights.h5").is_file()
    assert (folder / "result" / "weights-01.weights.h5").is_file()
    with Image.open(folder / "result" / "log.png") as picture:
        assert picture.size == (400, 600)


def test_command_that_tests_names_weights_that_training_wrote(folder):
    (file,) = re.findall(r"python examples/capsulenet_keras.py -t -w (\S+)", EXAMPLE.read_text())
    assert (folder / file).is_file()


def test_testing_draws_both_pictures(folder):
    for name, size in {"real_and_recon": (10 * 28, 10 * 28), "manipulate-3": (11 * 28, 16 * 28)}.items():
        with Image.open(folder / "tested" / f"{name}.png") as picture:
            assert picture.size == size


def test_exported_weights_compute_the_same_in_keras(folder):
    theirs = read(folder / "exported.npz")
    for ours, name in zip(answers(capsnet.load("capsnet-mnist"), folder), theirs, strict=True):
        np.testing.assert_allclose(ours, theirs[name], rtol=0, atol=1e-4)


def test_trained_weights_compute_the_same_here(folder, tmp_path):
    file = folder / "result" / "trained_model.weights.h5"
    model = import_weights(file, tmp_path / "run", iterations=2).load_model()
    theirs, (lengths, drawn) = read(folder / "trained.npz"), answers(model, folder)
    # of capsules that are still short, Length adds up to 0.0003
    np.testing.assert_allclose(np.sqrt(lengths**2 + 1e-7), theirs["arr_0"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(drawn, theirs["arr_1"], rtol=0, atol=1e-4)

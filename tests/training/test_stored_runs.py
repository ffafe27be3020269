"""Runs that read their images from shards: shared by processes, stopped, resumed and evaluated."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

import capsnet
from capsnet.inference.evaluate import evaluate_images
from capsnet.inference.images import find_images
from capsnet.training import train

OPTIONS = {
    "model": "capsnet-tiny",
    "model_options": {"stem_channels": 8, "num_types": 2},
    "image_size": 20,
    "epochs": 2,
    "batch_size": 8,
    "limit": 25,
    "optimizer": "sgd",
    "lr": 0.05,
    "precision": "fp32",
    "device": "cpu",
}
PROGRAM = """
import sys
import capsnet
data, folder, options = sys.argv[1], sys.argv[2], eval(sys.argv[3])
capsnet.train("own-images", data=data, out=folder, shards="always", **options)
"""


@pytest.fixture(scope="module")
def in_memory(photos, tmp_path_factory):
    return train(
        "own-images", data=str(photos), out=tmp_path_factory.mktemp("memory") / "run", shards="never", **OPTIONS
    )


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "stored-runs"))


class Stop(capsnet.Callback):
    def on_row(self, row):
        os.kill(os.getpid(), signal.SIGINT)


def test_run_from_shards_goes_on_from_memory_bit_for_bit(in_memory, photos, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train("own-images", data=str(photos), out=tmp_path / "run", shards="always", **OPTIONS, callbacks=[Stop()])
    assert not (tmp_path / "run" / "evaluation.json").exists()
    run = train(resume=tmp_path / "run", shards="always")
    expected, got = load_file(in_memory.weights_path), load_file(run.weights_path)
    assert all(tensor.equal(got[name]) for name, tensor in expected.items())


def test_two_processes_from_shards_end_with_the_weights_of_memory(in_memory, photos, tmp_path):
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    words = [sys.executable, "-c", PROGRAM, str(photos), str(tmp_path / "run"), repr(OPTIONS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *several, *words], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    expected, got = load_file(in_memory.weights_path), load_file(tmp_path / "run" / "weights.safetensors")
    for name, tensor in expected.items():
        torch.testing.assert_close(got[name], tensor, rtol=1e-5, atol=1e-6, msg=f"{name} differs")


def test_evaluation_from_shards_equals_that_from_memory(in_memory, photos, tmp_path):
    model, other = in_memory.load_model(), shutil.copytree(photos, tmp_path / "other")
    for folder, run, count in ((photos, in_memory, 9), (other, None, 45)):
        stored, whole = (find_images(model, str(folder), run=run, shards=shards) for shards in ("always", "never"))
        assert any("shards" in note for note in stored.notes)
        assert len(stored.data) == count
        assert evaluate_images(model, stored).files == evaluate_images(model, whole).files


def test_dataset_of_a_folder_keeps_images_in_shards(photos):
    dataset = capsnet.Dataset.from_folder(photos, image_size=12, shards="always")
    assert any("shards" in note for note in dataset.notes)

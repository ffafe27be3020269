"""What a machine does to a run: its clock is set back, its memory ends."""

import os
import time

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from tests.conftest import TINY

from capsnet.cli import main
from capsnet.data import load_data
from capsnet.training import train
from capsnet.training.step import Step


def test_clock_set_back_changes_no_weight(tmp_path, monkeypatch):
    config = TINY.change(epochs=1, limit=64, test_limit=20)
    expected = load_file(train(config, out=tmp_path / "undisturbed").weights_path)
    moments = iter(range(1_000_000_000, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(moments)))
    weights = load_file(train(config, out=tmp_path / "run").weights_path)
    assert all(weights[name].equal(tensor) for name, tensor in expected.items())


def test_image_of_an_earlier_time_and_the_same_size_is_read_anew(tmp_path):
    folder = tmp_path / "photos"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(np.full((20, 20), 40, np.uint8)).save(folder / name / f"{number}.bmp")
    path, moment = folder / "a" / "0.bmp", 4_000_000_000
    os.utime(path, (moment, moment))
    assert load_data(str(folder), image_size=20).train.images.max() == 40
    Image.fromarray(np.full((20, 20), 90, np.uint8)).save(path)
    os.utime(path, (moment, moment))
    dataset = load_data(str(folder), image_size=20)
    assert max(part.images.max() for part in (dataset.train, dataset.test)) == 90


@pytest.mark.parametrize(("batch_size", "remedy"), [(32, "accumulate 2.*parts of 16.*16"), (1, "image-size")])
def test_memory_that_ends_in_a_step_is_said_with_the_batch_that_takes_half(
    batch_size, remedy, tmp_path, monkeypatch, capsys
):
    def refuse(step, *arguments):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: ...")

    monkeypatch.setattr(Step, "__call__", refuse)
    words = f"train --model capsnet-tiny --limit 64 --device cpu --batch-size {batch_size} --out"
    assert main([*words.split(), str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"out of memory with {batch_size} images at a time" in error
    assert all(word in error for word in remedy.split(".*"))

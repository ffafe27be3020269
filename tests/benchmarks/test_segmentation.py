"""The comparison of segmentation networks tests complete runs of one length, and all of them."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from capsnet.bench import memory
from capsnet.data import ImageData


@pytest.fixture
def script(load, monkeypatch, tmp_path):
    """The script with one network, few digits, and a learning rate that falls from the first step."""
    script = load("benchmarks/segmentation.py")
    images = torch.randint(256, (20, 1, 14, 14), dtype=torch.uint8)
    digits = ImageData(images, torch.arange(20) % 10, tuple("0123456789"))
    monkeypatch.setattr(script, "load_digits", lambda split: digits)
    settings = {"HELD_OUT_PAIRS": 4, "TEST_PAIRS": 4, "WARM_UP": 1, "DECAY": 1.0, "EVERY": 1}
    places = {"RUNS": tmp_path, "PICTURES": tmp_path, "RESULTS": tmp_path / "results.json"}
    for name, value in {**settings, **places, "NETWORKS": {"unet": script.NETWORKS["unet"]}}.items():
        monkeypatch.setattr(script, name, value)
    return script


def stop(script, folder, monkeypatch):
    """Train two of four steps."""
    two = list(itertools.islice(script.draw_batches(1, 0), 2))
    with monkeypatch.context() as patch:
        patch.setattr(script, "draw_batches", lambda seed, first: iter(two))
        with pytest.raises(StopIteration):
            script.train("unet", 1, 4, folder=folder)
    return folder / "unet-1.pt"


def make_old(file):
    """A checkpoint as they were before they held the planned steps."""
    checkpoint = torch.load(file, weights_only=True)
    del checkpoint["state"]["planned"]
    torch.save(checkpoint, file)


def test_all_seeds_are_tested_and_fill_the_page(script, load, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(script, "draw_segmentation", lambda pairs, masks: drawn.extend(masks))
    monkeypatch.setattr(script, "draw_learning", lambda curves, trivial: drawn.extend(curves))
    monkeypatch.setattr(script, "to_png", lambda figure: b"")
    script.RESULTS.write_text("{}")
    for seed in (2, 10):
        script.train("unet", seed, 2, folder=tmp_path)
    script.train("unet", 3, 2, lr=0.1, folder=tmp_path)
    script.test(None)
    results = json.loads(script.RESULTS.read_text())
    assert [row["seed"] for row in results["runs"]] == [2, 10]
    assert drawn == ["U-Net", "U-Net"]
    page = load("docs/segmentation.py")
    monkeypatch.setattr(page, "MEASURED", script.RESULTS)
    assert "2 steps of 16 pairs" in page.table()


@pytest.mark.parametrize("old", [False, True])
def test_run_that_stopped_early_is_left_out(script, tmp_path, monkeypatch, capsys, old):
    files = [script.train("unet", 0, 2, folder=tmp_path), stop(script, tmp_path, monkeypatch)]
    if old:
        for file in files:
            make_old(file)
    assert list(script.complete_runs(tmp_path, None)["unet"]) == [0]
    assert f"unet-1.pt is left out: it stopped after 2 of {'an unknown number of' if old else 4} steps" in (
        capsys.readouterr().out
    )
    script.train("unet", 1, 4, folder=tmp_path)
    assert list(script.complete_runs(tmp_path, 4)["unet"]) == [1]


def test_runs_of_different_lengths_are_not_averaged(script, tmp_path):
    for seed, steps in enumerate((2, 3)):
        script.train("unet", seed, steps, folder=tmp_path)
    with pytest.raises(SystemExit, match=r"have \[2, 3\] steps; choose one number with --steps"):
        script.complete_runs(tmp_path, None)
    assert list(script.complete_runs(tmp_path, 3)["unet"]) == [1]


def test_network_without_a_run_is_named(script, tmp_path):
    with pytest.raises(SystemExit, match="no complete run of 5 steps of unet"):
        script.complete_runs(tmp_path, 5)


@pytest.mark.parametrize("old", [False, True])
def test_run_does_not_go_on_with_another_number_of_steps(script, tmp_path, old):
    file = script.train("unet", 0, 2, folder=tmp_path)
    if old:
        make_old(file)
    with pytest.raises(SystemExit, match=r"is a run of 2 steps, got 3; .* give --steps 2"):
        script.train("unet", 0, 3, folder=tmp_path)


def test_memory_is_counted_also_below_an_earlier_peak():
    if not memory._reset_peak():
        pytest.skip("the peak of a process cannot be reset here")
    # more than the pass takes, and freed; in a process that holds no memory that other tests have freed
    program = "import torch, segmentation as s; torch.ones(2**27); print(s.peak_bytes(48, None) > s.votes_bytes(48))"
    folder = Path(__file__).parents[2] / "benchmarks"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr

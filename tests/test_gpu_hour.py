"""The hour on a GPU is in order, goes on where it was, and starts on a CPU."""

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu_hour.py"


@pytest.fixture
def gpu_hour(monkeypatch):
    spec = importlib.util.spec_from_file_location("gpu_hour", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "gpu_hour", module)
    spec.loader.exec_module(module)
    return module


def only(module, monkeypatch, *parts):
    monkeypatch.setattr(module, "parts", lambda out, device: [module.Part(*part) for part in parts])


def test_failed_and_stopped_parts_are_named_when_the_hour_ends(gpu_hour, monkeypatch, tmp_path):
    fails, sleeps = ("python", "-c", "raise SystemExit(1)"), ("python", "-c", "import time; time.sleep(60)")
    only(gpu_hour, monkeypatch, ("good", ("python", "-c", "print(5)"), 60), ("bad", fails, 60), ("long", sleeps, 1))
    assert gpu_hour.run(tmp_path, "cpu", 120, rehearse=False) == 1
    state = json.loads((tmp_path / "parts.json").read_text())
    assert {name: part["state"] for name, part in state.items()} == {"good": "done", "bad": "failed", "long": "stopped"}
    assert (tmp_path / "good.log").read_text() == "5\n"


def test_finished_parts_are_left_alone_when_the_hour_goes_on(gpu_hour, monkeypatch, tmp_path):
    only(gpu_hour, monkeypatch, ("good", ("python", "-c", "print(5)"), 60))
    for _ in range(2):
        gpu_hour.run(tmp_path, "cpu", 60, rehearse=False)
    assert (tmp_path / "good.log").read_text() == "5\n"


def test_weights_are_cut_without_loss_when_they_are_large(gpu_hour, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_hour, "PIECE", 10)
    (tmp_path / "weights.safetensors").write_bytes(bytes(range(25)))
    gpu_hour._cut_weights(tmp_path)
    pieces = [(tmp_path / f"weights.safetensors.{number}").read_bytes() for number in range(3)]
    assert [len(piece) for piece in pieces] == [10, 10, 5]
    assert b"".join(pieces) == bytes(range(25))


def test_every_study_of_the_hour_exists_when_it_is_planned(gpu_hour, tmp_path):
    from capsnet.studies import STUDIES

    studies = [part.words[2] for part in gpu_hour.parts(tmp_path, "cpu") if part.words[1] == "reproduce"]
    assert len(studies) == 9
    assert all(name in STUDIES for name in studies)

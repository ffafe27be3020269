"""The profile of a training step."""

import json

from capsnet.models import create_model


def test_profile_names_operators_and_times_steps(load, tmp_path, monkeypatch):
    script = load("benchmarks/profile_step.py")
    monkeypatch.setattr(script, "STEPS", 1)
    monkeypatch.setattr(script, "create_model", lambda name: create_model("capsnet-tiny"))
    script.main("cpu", 2, tmp_path / "profile.json")
    profile = json.loads((tmp_path / "profile.json").read_text())
    assert profile["operators"][0]["milliseconds"] > 0
    assert profile["milliseconds, eager"] > 0
    assert profile["milliseconds, auto"] > 0

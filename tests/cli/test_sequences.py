"""`capsnet data` and `capsnet predict` for recordings and time series."""

import json

import pytest
import torch
from tests.cli.test_cli import call
from tests.data.sounds import write_tone
from tests.data.test_recordings import SERIES

from capsnet.data.spectrogram import LogMel
from capsnet.models import create_sequence_model


@pytest.fixture
def sounds(tmp_path):
    for name, hertz in (("high", 2000), ("low", 300)):
        for number in range(2):
            write_tone(tmp_path / "sounds" / name / f"{number}.wav", hertz, samples=2000 + 2000 * number)
    return tmp_path / "sounds"


def save(path, name="sequence-capsnet"):
    torch.manual_seed(0)
    model = create_sequence_model(name, in_channels=40, num_classes=2)
    model.class_names, model.preparation = ("high", "low"), LogMel()
    model.save(path)
    return path


def test_data_reports_lengths_and_draws_spectrograms(capsys, sounds, tmp_path):
    status, out, _ = call(capsys, "data", sounds, "--figure", tmp_path / "a.png")
    assert status == 0
    assert "2 train, 2 test; recordings" in out
    assert "length    14 to 30, median 22 steps" in out
    assert "0.25 to 0.5, median 0.38 seconds" in out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    values = json.loads(call(capsys, "data", sounds, "--json")[1])
    assert (values["kind"], values["train"], values["test"]) == ("recordings", [1, 1], [1, 1])
    assert values["seconds"] == {"low": 0.25, "median": 0.375, "high": 0.5}


def test_data_reports_time_series(capsys, tmp_path):
    (tmp_path / "Small.ts").write_text(SERIES)
    status, out, _ = call(capsys, "data", tmp_path / "Small.ts", "--figure", tmp_path / "a.png")
    assert status == 0
    assert "length    2 to 2, median 2 steps" in out
    assert "seconds" not in out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["sequence-capsnet", "sequence-cnn"])
def test_the_figure_shows_class_lengths_with_or_without_couplings(capsys, sounds, tmp_path, name):
    file = save(tmp_path / "model.safetensors", name)
    status, out, _ = call(capsys, "predict", file, sounds / "low" / "1.wav", "--figure", tmp_path / "a.png")
    assert (status, f"figure: {tmp_path / 'a.png'}" in out) == (0, True)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_silent_or_coarse_recording_is_unsure(capsys, tmp_path):
    file = save(tmp_path / "model.safetensors")
    write_tone(tmp_path / "silent.wav", 300, loudness=0.0)
    write_tone(tmp_path / "coarse.wav", 300, rate=4000)
    status, out, _ = call(capsys, "predict", file, tmp_path / "silent.wav", tmp_path / "coarse.wav", "--json")
    silent, coarse = json.loads(out)["predictions"]
    assert (status, silent["unsure"], coarse["unsure"]) == (0, True, True)
    assert silent["reasons"] == ["the recording is silent"]
    assert "4,000 samples a second, those that the model learned from 8,000" in coarse["reasons"][0]


def test_an_image_is_no_recording(capsys, tmp_path):
    status, _, err = call(capsys, "predict", save(tmp_path / "model.safetensors"), "a.png")
    assert (status, "classifies recordings: give WAV files, got a.png" in err) == (2, True)

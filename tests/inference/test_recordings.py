import json

import pytest
import torch
from tests.data.sounds import write_tone

from capsnet.cli import main
from capsnet.data.spectrogram import LogMel
from capsnet.errors import UserError
from capsnet.inference.recordings import answer_recordings
from capsnet.models import create_sequence_model
from capsnet.prediction import Failure


@pytest.fixture
def model():
    model = create_sequence_model("sequence-capsnet", in_channels=40, num_classes=3, num_types=2)
    model.class_names, model.preparation = ("zero", "one", "two"), LogMel()
    return model


def test_prediction_is_the_models_output_for_the_prepared_file(model, tmp_path):
    write_tone(tmp_path / "a.wav", 500)
    (tmp_path / "b.wav").write_bytes(b"no")
    [(prediction, spectrogram), failure] = answer_recordings(
        model, [tmp_path / "a.wav", tmp_path / "b.wav"], poses=True
    )
    output = model(LogMel().read(tmp_path / "a.wav")[None])
    assert prediction.lengths == pytest.approx(output.lengths[0].tolist())
    assert prediction.class_name == model.class_names[output.lengths[0].argmax()]
    torch.testing.assert_close(torch.tensor(prediction.poses), output.capsules.poses[0].detach())
    assert spectrogram.shape == (40, 1 + (1600 - 256) // 128)
    assert isinstance(failure, Failure)


def test_a_recording_too_short_for_a_capsule_is_a_failure(model, tmp_path):
    write_tone(tmp_path / "a.wav", 500, samples=400)
    [failure] = answer_recordings(model, [tmp_path / "a.wav"])
    assert isinstance(failure, Failure)


def test_a_model_that_learned_from_no_recordings_is_refused(model):
    model.preparation = None
    with pytest.raises(UserError, match="did not learn from recordings"):
        next(answer_recordings(model, []))


def test_command_predicts_wav_files_and_draws_their_couplings(model, tmp_path, capsys):
    model.save(tmp_path / "model.safetensors")
    write_tone(tmp_path / "a.wav", 500)
    words = ["predict", str(tmp_path / "model.safetensors"), str(tmp_path / "a.wav"), "--json"]
    assert main([*words, "--figure", str(tmp_path / "a.png")]) == 0
    answer = json.loads(capsys.readouterr().out)["predictions"][0]
    assert answer["class_name"] == model.class_names[answer["label"]]
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert main([*words, "--as-is"]) == 2
    assert "--as-is and --pixel-range are for images" in capsys.readouterr().err
    assert main(["predict", "efficient-capsnet-mnist", str(tmp_path / "a.wav")]) == 2
    assert "WAV files need a run or weights file of a model of sequences" in capsys.readouterr().err

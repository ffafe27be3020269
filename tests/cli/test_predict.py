"""What `capsnet predict` refuses."""

import pytest
from tests.cli.test_cli import call

from capsnet.cli import predict as verb
from capsnet.prediction import Prediction


@pytest.mark.parametrize("words", ["", "--json"])
def test_an_answer_that_is_not_finite_is_refused(words, capsys, monkeypatch, tmp_path):
    answer = Prediction(file="a.png", label=0, class_name="0", length=float("nan"), lengths=(float("nan"), 0.5))
    monkeypatch.setattr(verb, "_find_kind", lambda options: None)
    monkeypatch.setattr(verb, "_answer_by_torch", lambda options: iter([((("0", "1"), "length"), answer)]))
    status, out, err = call(capsys, f"predict model {words} a.png")
    assert (status, out) == (2, "")
    assert err == (
        "capsnet: a.png: the network's answer is not finite (NaN or infinity); train it again or choose another\n"
    )


def test_a_model_file_is_told_apart_from_what_is_needed(capsys):
    assert "--out is for masks, and needs a run or" in call(capsys, "predict model.onnx a.png --out masks")[2]
    assert "WAV files need a run or weights file" in call(capsys, "predict model.onnx a.wav")[2]

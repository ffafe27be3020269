import json

import pytest
import torch

import capsnet
from capsnet.interop import torch_program
from capsnet.interop.graph import AnswerGraph, example_images


def test_the_program_answers_as_the_model_and_describes_it(exports):
    about = {"capsnet.json": ""}
    program = torch.export.load(exports / "digits.pt2", extra_files=about).module()
    model = capsnet.load("efficient-capsnet-mnist")
    for count in (1, 7):
        images = example_images(model, count, "uint8")
        with torch.inference_mode():
            for one, other in zip(AnswerGraph(model, "uint8")(images), program(image=images), strict=True):
                assert torch.allclose(one, other, atol=1e-5, rtol=1e-5)
    assert json.loads(about["capsnet.json"])["class_names"] == list("0123456789")


def test_export_that_fails_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_program, "_compare", lambda model, path, pixels: 1 / path.is_dir())
    monkeypatch.setattr(torch.export, "save", lambda program, file, **rest: file.write(b"program"))
    monkeypatch.setattr(torch_program, "trace_answers", lambda model, pixels: None)
    with pytest.raises(ZeroDivisionError):
        torch_program.export("efficient-capsnet-mnist", tmp_path / "digits")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(torch_program, "_compare", lambda model, path, pixels: 0.0)
    torch_program.export("efficient-capsnet-mnist", tmp_path / "digits")
    assert [path.name for path in (tmp_path / "digits").iterdir()] == ["model.pt2"]

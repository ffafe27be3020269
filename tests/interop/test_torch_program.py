import json

import torch

import capsnet
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

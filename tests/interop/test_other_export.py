"""Exported segmentation models and models of sequences answer as their models do."""

import json

import numpy as np
import pytest
import torch
from tests.cli.test_cli import call

from capsnet.models import load_segmenter, load_sequence_model

onnxruntime = pytest.importorskip("onnxruntime")


def answer(path, **inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(array) for array in session.run(None, inputs)]


def about(path, key):
    return json.loads(onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map[key])


def different_lengths(count, steps):
    lengths = torch.linspace(5, steps, count).long()
    return torch.randn(count, 2, steps), torch.arange(steps) < lengths[:, None], lengths


def test_masks_of_any_number_of_images_are_those_of_the_model(exports):
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8)
    (lengths,) = answer(exports / "masks.onnx", image=images)
    expected = load_segmenter(exports / "masks.safetensors")(torch.from_numpy(images) / 255).lengths
    torch.testing.assert_close(lengths, expected.detach(), atol=1e-5, rtol=1e-5)
    described = about(exports / "masks.onnx", "capsnet-segmenter")
    assert (described["image_shape"], described["class_names"]) == ([1, 8, 8], ["1", "2"])


def test_padding_of_an_exported_sequence_has_no_influence(exports):
    sequences, mask, lengths = different_lengths(4, 30)
    padded = sequences.masked_fill(~mask[:, None], float("nan"))
    given, _ = answer(exports / "sequences.onnx", sequences=padded.numpy(), mask=mask.numpy())
    model = load_sequence_model(exports / "sequences.safetensors")
    with torch.no_grad():
        alone = [model(one[None, :, :steps]).lengths for one, steps in zip(sequences, lengths.tolist(), strict=True)]
    torch.testing.assert_close(given, torch.cat(alone), atol=1e-5, rtol=1e-5)
    assert about(exports / "sequences.onnx", "capsnet-sequence-model")["steps"] == 7


def test_a_mask_with_a_gap_or_too_few_steps_has_no_answer(exports):
    sequences, mask, _ = different_lengths(4, 30)
    mask[:] = True
    mask[1, 8:10], mask[2, :20], mask[3, 4:] = False, False, False
    program = torch.export.load(exports / "sequences.pt2").module()
    inputs = {"sequences": sequences, "mask": mask}
    for given in (
        program(**inputs),
        answer(exports / "sequences.onnx", **{name: one.numpy() for name, one in inputs.items()}),
    ):
        assert [part.isnan().flatten(1).all(dim=1).tolist() for part in given] == [[False, True, True, True]] * 2
        assert given[0][0].isfinite().all()


def test_the_program_takes_sequences_of_any_number_of_steps(exports):
    program = torch.export.load(exports / "sequences.pt2").module()
    model = load_sequence_model(exports / "sequences.safetensors")
    for count, steps in ((1, 7), (5, 44)):
        sequences, mask, lengths = different_lengths(count, steps)
        with torch.no_grad():
            given, expected = program(sequences=sequences, mask=mask), model(sequences, lengths)
        torch.testing.assert_close(given[0], expected.lengths)
        torch.testing.assert_close(given[1], expected.capsules.poses)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("masks page --format web", "--format must be onnx or torch for"),
        ("sequences a.h5 --format keras", "a sequence model, got keras"),
        ("masks a.pt2", "a.pt2 must end in .onnx"),
        ("sequences a.onnx --pixels float", "--pixels must be left out"),
        ("masks masks.onnx", "exists; give another name"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(capsys, exports, words, message):
    name, out, *options = words.split()
    status, _, err = call(capsys, "export", exports / f"{name}.safetensors", exports / out, *options)
    assert (status, len(err.splitlines()), message in err) == (2, 1, True)


def test_an_exported_segmenter_is_no_classifier(capsys, exports):
    status, _, err = call(capsys, "predict", exports / "masks.onnx", "a.png")
    assert (status, "holds a segmenter: predict with its run" in err) == (2, True)

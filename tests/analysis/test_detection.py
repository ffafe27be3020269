from dataclasses import replace

import pytest
import torch

from capsnet.analysis.attacks import fgsm
from capsnet.analysis.detection import invert, measure_detection, say_detection, shuffle
from capsnet.analysis.watch import frozen
from capsnet.errors import UserError


def test_shuffled_images_keep_their_pixels_of_all_channels_together():
    images = torch.rand(2, 3, 4, 5)
    mixed = shuffle(images, torch.Generator().manual_seed(0))
    assert not torch.equal(mixed, images)
    for image, result in zip(images.flatten(2), mixed.flatten(2), strict=True):
        places = (result.T[:, None] == image.T[None]).all(dim=2)  # every place of the result is one of the image
        assert places.sum(dim=0).tolist() == places.sum(dim=1).tolist() == [1] * 20


def test_errors_of_images_that_the_decoder_draws_exactly_are_zero(make_subject):
    model, data = make_subject()
    with torch.no_grad():
        model.decoder.linears[-1].weight.zero_()
        model.decoder.linears[-1].bias.fill_(-20.0)
    data.images.zero_()
    found = measure_detection(model, data, steps=1)
    assert found["clean_mean"] == pytest.approx(0, abs=1e-9)
    inverted = found["suspects"][0]
    assert inverted["mean"] == pytest.approx(400, rel=1e-5)  # 20 x 20 pixels, each wrong by one
    assert inverted["auroc"] == inverted["noticed"]["share"] == 1
    assert "inverted 1.00 " in say_detection(found)


def test_only_images_turned_from_right_to_wrong_count_as_attacked(make_subject):
    model, data = make_subject()
    pixels = data.images.float() / 255
    with torch.no_grad():
        predicted = model(pixels).lengths.argmax(dim=1)
    # correct but for the first two
    labels = torch.cat([(predicted[:2] + 1) % 4, predicted[2:]])
    with frozen(model):
        attacked = model(fgsm(model, pixels, labels, 0.3, "cross-entropy")).lengths.argmax(dim=1)
    turned = int((attacked != labels)[2:].sum())
    assert turned > 0
    found = measure_detection(model, replace(data, labels=labels), epsilon=0.3, steps=2)
    counts = {kind["name"]: kind["n"] for kind in found["suspects"]}
    assert counts["inverted"] == counts["random signs"] == len(data)
    assert counts["FGSM"] == turned
    assert set(counts) | set(found["missing"]) == {"inverted", "shuffled pixels", "FGSM", "PGD", "random signs"}


def test_inverting_twice_changes_nothing():
    images = torch.rand(1, 1, 3, 3)
    assert torch.allclose(invert(invert(images)), images)


def test_a_model_without_decoder_is_refused(make_subject):
    with pytest.raises(UserError, match="no decoder"):
        measure_detection(*make_subject(decoder=False))

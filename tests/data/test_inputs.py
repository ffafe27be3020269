import json
from dataclasses import asdict

import pytest
import torch
from tests.official import pixels

from capsnet.data.inputs import Inputs
from capsnet.errors import UserError


@pytest.fixture
def images():
    return torch.from_numpy(pixels(6, 2, 12, 12))


def test_whole_images_are_brought_to_one(images):
    inputs = Inputs((2, 12, 12))
    assert inputs.shape == (2, 12, 12)
    assert inputs(images).equal(images.float() / 255)


def test_images_are_shrunk_then_the_middle_is_cut_out(images):
    inputs = Inputs((2, 12, 12), shrink=6, crop=4)
    assert inputs.shape == (2, 4, 4)
    mean = images[0, 1, 2:4, 4:6].float().mean()
    torch.testing.assert_close(inputs.view(images)[0, 1, 0, 1], mean)


def test_standardised_inputs_do_not_depend_on_brightness_and_contrast(images):
    inputs = Inputs((2, 12, 12), standardize=True)
    torch.testing.assert_close(inputs(images // 2 * 2), inputs.normalize((images // 2).float() + 9), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        ({"crop": 13}, "crop must be 0 to 12"),
        ({"shrink": 13}, "shrink must"),
        ({"shrink": 6, "crop": 7}, "0 to 6"),
        ({"enlarge": 11}, "enlarge must be at least 12"),
    ],
)
def test_a_patch_larger_than_the_image_is_refused(sides, words):
    with pytest.raises(UserError, match=words):
        Inputs((2, 12, 12), **sides)


def test_images_that_are_not_square_are_not_shrunk_to_a_square():
    with pytest.raises(UserError, match="for square images, these are 12x20"):
        Inputs((1, 12, 20), shrink=6)


def test_description_survives_json():
    inputs = Inputs((2, 12, 12), shrink=6, crop=4, standardize=True)
    assert Inputs.from_dict(json.loads(json.dumps(asdict(inputs)))) == inputs


def test_images_are_enlarged_before_a_patch_is_cut_out(images):
    inputs = Inputs((2, 12, 12), enlarge=24, crop=20)
    assert inputs.shape == (2, 20, 20)
    assert inputs.scaled_shape == (2, 24, 24)
    whole = torch.nn.functional.interpolate(images.float(), scale_factor=2, mode="bilinear")
    torch.testing.assert_close(inputs.view(images), whole[:, :, 2:22, 2:22])

import json
from dataclasses import asdict

import pytest
import torch
from tests.official import pixels

from capsnet.data.color import adjust_brightness, adjust_contrast
from capsnet.data.inputs import Augmentation, Inputs
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
        ({"shrink": 13}, "--shrink"),
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


def test_only_what_is_needed_is_drawn():
    generator = torch.Generator().manual_seed(0)
    assert Augmentation().draw(4, Inputs((1, 8, 8)), generator) == {}
    everything = Augmentation(2, 15.0, True, 63.0, 0.8)
    names = list(everything.draw(4, Inputs((1, 8, 8), crop=6), generator))
    assert names == ["shift", "angle", "corner", "flip", "brightness", "contrast"]


def test_distortions_are_drawn_where_asked():
    digits = Augmentation(0, 30.0, rotation_chance=0.5, squeeze=7, place=True, erase=4)
    draws = digits.draw(2000, Inputs((1, 28, 28)), torch.Generator().manual_seed(0))
    assert list(draws) == ["angle", "squeeze", "place", "erase"]
    assert 0.45 < (draws["angle"] == 0).float().mean() < 0.55
    assert (draws["erase"].min(), draws["erase"].max()) == (0, 24)


def test_erased_square_is_black_in_what_the_model_sees(images):
    erase = Augmentation(erase=3)
    draws = {"erase": torch.full((6, 2), 4)}
    seen = erase.vary(images, draws, Inputs((2, 12, 12)))
    assert seen[:, :, 4:7, 4:7].eq(0).all()
    assert seen[:, :, :4].equal(images[:, :, :4].float())


def test_images_are_enlarged_before_a_patch_is_cut_out(images):
    inputs = Inputs((2, 12, 12), enlarge=24, crop=20)
    assert inputs.shape == (2, 20, 20)
    whole = torch.nn.functional.interpolate(images.float(), scale_factor=2, mode="bilinear")
    torch.testing.assert_close(inputs.view(images), whole[:, :, 2:22, 2:22])
    draws = Augmentation().draw(500, inputs, torch.Generator().manual_seed(0))
    assert draws["corner"].max() == 4


def test_draws_stay_in_their_ranges():
    draws = Augmentation(0, 15.0, True, 63.0, 0.8).draw(
        2000, Inputs((1, 96, 96), shrink=48, crop=32), torch.Generator().manual_seed(0)
    )
    for name, low, high in (("angle", -15, 15), ("brightness", -63, 63), ("contrast", 0.2, 1.8)):
        assert low <= draws[name].min() < low + 0.1 * (high - low)
        assert high >= draws[name].max() > high - 0.1 * (high - low)
    assert (draws["corner"].min(), draws["corner"].max()) == (0, 16)


def test_colour_changes_the_patch_or_first_the_whole_image(images):
    inputs = Inputs((2, 12, 12), crop=4)
    draws = {
        "corner": torch.full((6, 2), 5),
        "brightness": torch.linspace(-63, 63, 6),
        "contrast": torch.linspace(0.2, 1.8, 6),
    }

    def color(pixels):
        return adjust_contrast(adjust_brightness(pixels, draws["brightness"]), draws["contrast"])

    patch, whole = images[:, :, 5:9, 5:9].float(), images.float()
    cifar, norb = Augmentation(), Augmentation(color_first=True)
    torch.testing.assert_close(cifar.vary(images, draws, inputs), color(patch))
    torch.testing.assert_close(norb.vary(images, draws, inputs), color(whole)[:, :, 5:9, 5:9])


def test_images_are_mirrored_and_turned(images):
    inputs = Inputs((2, 12, 12))
    draws = {"angle": torch.full((6,), 90.0), "flip": torch.ones(6, dtype=torch.bool)}
    torch.testing.assert_close(Augmentation().vary(images, draws, inputs), images.rot90(1, (2, 3)).flip(3).float())

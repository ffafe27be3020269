import pytest
import torch

from capsnet.analysis.robustness import CHANGES, change_images
from capsnet.analysis.transforms import disturb, rotate, scale, shift


def generator():
    return torch.Generator().manual_seed(0)


def test_a_quarter_turn_is_rot90_to_either_side():
    images = torch.rand(6, 2, 7, 7)
    turned = rotate(images, 90.0, generator())
    for image, result in zip(images, turned, strict=True):
        left, right = (torch.rot90(image, k, dims=(1, 2)) for k in (1, -1))
        assert torch.allclose(result, left, atol=1e-5) or torch.allclose(result, right, atol=1e-5)


def test_a_turn_keeps_lengths_where_an_image_is_not_square():
    images = torch.zeros(1, 1, 9, 15)
    images[..., 4, 3:12] = 1  # a line of nine pixels through the centre
    turned = rotate(images, 90.0, generator())
    assert turned[0, 0, :, 7].tolist() == pytest.approx([1] * 9, abs=1e-5)
    assert turned.sum() == pytest.approx(9, abs=1e-4)


def test_enlarging_by_two_shows_the_inner_half():
    images = torch.rand(1, 1, 8, 8)
    inner = torch.nn.functional.interpolate(images[..., 2:6, 2:6], scale_factor=2, mode="bilinear")
    # at the border the sampler sees the pixels outside the inner half, too
    assert torch.allclose(scale(images, 2.0, generator())[..., 1:-1, 1:-1], inner[..., 1:-1, 1:-1], atol=1e-5)


def test_a_shift_moves_by_whole_pixels_in_four_directions():
    images = torch.zeros(60, 1, 9, 9)
    images[:, :, 4, 4] = 1
    places = {tuple(place) for place in shift(images, 3.0, generator()).nonzero()[:, 2:].tolist()}
    assert places == {(1, 4), (7, 4), (4, 1), (4, 7)}


def test_noise_has_the_deviation_asked_for_and_stays_in_range():
    assert float(disturb(torch.full((1, 1, 200, 200), 0.5), 0.1, generator()).std()) == pytest.approx(0.1, rel=0.02)
    noisy = disturb(torch.rand(1, 1, 20, 20), 2.0, generator())
    assert (float(noisy.min()), float(noisy.max())) == (0, 1)


@pytest.mark.parametrize("name", list(CHANGES))
def test_the_neutral_value_changes_nothing_and_a_seed_repeats(name):
    images = torch.rand(3, 3, 8, 10)
    assert change_images(name, images, CHANGES[name].neutral, 0) is images
    changed = change_images(name, images, CHANGES[name].neutral + 1, 5)
    assert changed.shape == images.shape
    assert not torch.equal(changed, images)
    assert torch.equal(changed, change_images(name, images, CHANGES[name].neutral + 1, 5))

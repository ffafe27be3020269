import numpy as np
import pytest
import torch
from scipy import ndimage
from tests.official import pixels

from capsnet.data.transforms import Shift
from capsnet.data.transforms.shift import draw_shifts, shift_between_pixels, shift_images
from capsnet.errors import UserError


def test_each_image_moves_by_its_own_shift_and_zeros_come_in():
    images = torch.arange(1, 19, dtype=torch.uint8).view(2, 1, 3, 3)
    moved = shift_images(images, torch.tensor([[1, 0], [0, -2]]))
    assert moved[0, 0].tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert moved[1, 0].tolist() == [[12, 0, 0], [15, 0, 0], [18, 0, 0]]
    assert moved.dtype == torch.uint8


def test_shift_of_zero_changes_nothing():
    images = torch.randint(0, 256, (4, 3, 5, 7), dtype=torch.uint8)
    assert shift_images(images, torch.zeros(4, 2, dtype=torch.long)).equal(images)


@pytest.mark.parametrize("shape", [(2, 1, 4, 6), (2, 3, 6, 4)])
def test_shift_equals_a_padded_crop(shape):
    images = torch.rand(*shape)
    moved = shift_images(images, torch.tensor([[2, -1], [-2, 2]]))
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    height, width = shape[2:]
    assert moved[0].equal(padded[0, :, 0:height, 3 : 3 + width])
    assert moved[1].equal(padded[1, :, 4 : 4 + height, 0:width])


def test_all_25_shifts_of_the_paper_come_and_no_other():
    shifts = draw_shifts(2000, 2, torch.Generator().manual_seed(0))
    assert {tuple(shift) for shift in shifts.tolist()} == {(y, x) for y in range(-2, 3) for x in range(-2, 3)}


def test_same_seed_draws_the_same_shifts():
    one, two = (draw_shifts(10, 2, torch.Generator().manual_seed(5)) for _ in range(2))
    assert one.equal(two)


@pytest.mark.parametrize("fill", ["zeros", "edge"])
def test_shift_between_pixels_equals_that_of_scipy(fill):
    images = torch.from_numpy(pixels(4, 2, 7, 9)).float()
    shifts = torch.tensor([[2.8, -0.3], [-1.5, 2.0], [0.0, 0.0], [-2.75, -8.6]])
    moved = shift_between_pixels(images, shifts, fill=fill)
    # Keras' image generator calls scipy with the mode "nearest", which repeats the edge
    mode = {"zeros": "grid-constant", "edge": "nearest"}[fill]
    for image, shift, result in zip(images.numpy(), shifts.tolist(), moved.numpy(), strict=True):
        expected = ndimage.shift(image, (0, *shift), order=1, mode=mode)
        np.testing.assert_allclose(result, expected, atol=1e-3)


def test_nearest_pixel_is_that_of_scipy():
    images = torch.from_numpy(pixels(3, 1, 7, 9))
    shifts = torch.tensor([[2.8, -0.3], [-1.6, 2.0], [0.4, -2.2]])
    moved = Shift(2.8, interpolation="nearest", fill="edge").apply(images, shifts)
    for image, shift, result in zip(images.numpy(), shifts.tolist(), moved.numpy(), strict=True):
        assert (result == ndimage.shift(image, (0, *shift), order=0, mode="nearest")).all()


def test_bytes_shifted_between_pixels_are_rounded():
    image = torch.tensor([[[[10, 13, 255]]]], dtype=torch.uint8)
    moved = shift_between_pixels(image, torch.tensor([[0.0, 0.25]]), fill="edge")
    # 10, 0.75 x 13 + 0.25 x 10 = 12.25, 0.75 x 255 + 0.25 x 13 = 194.5
    assert moved.dtype == torch.uint8
    assert moved[0, 0, 0].tolist() == [10, 12, 194]


def test_real_shifts_fill_the_range():
    shifts = Shift(2.8, interpolation="bilinear").draw(2000, torch.Generator().manual_seed(0), (1, 28, 28))
    assert shifts.shape == (2000, 2)
    assert -2.8 <= shifts.min() < -2.75
    assert 2.75 < shifts.max() <= 2.8


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pixels": -1}, "pixels must be at least 0, got -1"),
        (
            {"pixels": 2.8},
            'pixels must be a whole number without interpolation, got 2.8; use interpolation="bilinear"',
        ),
        ({"pixels": 2, "interpolation": "cubic"}, "interpolation must be one of none, nearest, bilinear, got 'cubic'"),
        ({"pixels": 2, "fill": "wrap"}, "fill must be one of zeros, edge, got 'wrap'"),
    ],
)
def test_shift_out_of_range_is_refused(values, words):
    with pytest.raises(UserError, match=words):
        Shift(**values)

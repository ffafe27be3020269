import pytest
import torch

from capsnet.data.frame import (
    center_crop,
    crop_images,
    draw_crops,
    draw_flips,
    flip_images,
    pad_images,
    shrink_images,
)
from capsnet.errors import UserError


@pytest.fixture
def images():
    return torch.arange(32, dtype=torch.uint8).view(2, 1, 4, 4)


def test_zeros_come_around_each_image():
    padded = pad_images(torch.ones(1, 2, 1, 1, dtype=torch.uint8), 1)
    assert padded[0, 1].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert padded.dtype == torch.uint8


def test_middle_is_cut_out(images):
    assert center_crop(images, 2)[1, 0].tolist() == [[21, 22], [25, 26]]
    assert center_crop(images, 3)[0, 0].tolist() == [[0, 1, 2], [4, 5, 6], [8, 9, 10]]
    assert center_crop(images, 4).equal(images)


def test_each_image_is_cut_at_its_own_place(images):
    patches = crop_images(images, torch.tensor([[0, 1], [2, 2]]), 2)
    assert patches[:, 0].tolist() == [[[1, 2], [5, 6]], [[26, 27], [30, 31]]]
    assert patches.dtype == torch.uint8


def test_corners_reach_every_place_and_no_other():
    corners = draw_crops(500, (2, 1), torch.Generator().manual_seed(0))
    assert {tuple(corner) for corner in corners.tolist()} == {(y, x) for y in range(3) for x in range(2)}


def test_a_patch_larger_than_the_image_is_refused(images):
    for cut in (center_crop, shrink_images, lambda i, side: crop_images(i, torch.zeros(2, 2).long(), side)):
        with pytest.raises(UserError, match="side must be 1 to 4 for images of 4x4, got 5"):
            cut(images, 5)


def test_chosen_images_are_mirrored(images):
    flipped = flip_images(images, torch.tensor([False, True]))
    assert flipped[0].equal(images[0])
    assert flipped[1, 0, 0].tolist() == [19, 18, 17, 16]
    assert flipped.dtype == torch.uint8


def test_half_of_the_images_are_mirrored():
    flips = draw_flips(1000, torch.Generator().manual_seed(0))
    # 500 are expected, with a standard deviation of 16
    assert 430 < int(flips.sum()) < 570


def test_shrunk_pixel_is_the_mean_of_its_area(images):
    assert shrink_images(images, 2)[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert shrink_images(torch.zeros(1, 2, 96, 96), 48).shape == (1, 2, 48, 48)

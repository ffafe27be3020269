import pytest
import torch

from capsnet.data.frame import center_crop, pad_images, shrink_images
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


def test_a_patch_larger_than_the_image_is_refused(images):
    for cut in (center_crop, shrink_images):
        with pytest.raises(UserError, match="side must be 1 to 4 for images of 4x4, got 5"):
            cut(images, 5)


def test_shrunk_pixel_is_the_mean_of_its_area(images):
    assert shrink_images(images, 2)[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert shrink_images(torch.zeros(1, 2, 96, 96), 48).shape == (1, 2, 48, 48)

import pytest
import torch

from capsnet.data.transforms import Crop
from capsnet.data.transforms.crop import crop_images, draw_crops
from capsnet.errors import UserError


@pytest.fixture
def images():
    return torch.arange(32, dtype=torch.uint8).view(2, 1, 4, 4)


def test_each_image_is_cut_at_its_own_place(images):
    patches = crop_images(images, torch.tensor([[0, 1], [2, 2]]), 2)
    assert patches[:, 0].tolist() == [[[1, 2], [5, 6]], [[26, 27], [30, 31]]]
    assert patches.dtype == torch.uint8


def test_corners_reach_every_place_and_no_other():
    corners = draw_crops(500, (2, 1), torch.Generator().manual_seed(0))
    assert {tuple(corner) for corner in corners.tolist()} == {(y, x) for y in range(3) for x in range(2)}


def test_a_patch_larger_than_the_image_is_refused(images):
    with pytest.raises(UserError, match="side must be 1 to 4 for images of 4x4, got 5"):
        Crop(5).draw(2, torch.Generator(), (1, 4, 4))
    with pytest.raises(UserError, match="side must be 1 to 4 for images of 4x4, got 5"):
        crop_images(images, torch.zeros(2, 2).long(), 5)

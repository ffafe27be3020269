import pytest
import torch

from capsnet.data.transforms import Flip
from capsnet.data.transforms.flip import flip_images


@pytest.fixture
def images():
    return torch.arange(32, dtype=torch.uint8).view(2, 1, 4, 4)


def test_chosen_images_are_mirrored(images):
    flipped = flip_images(images, torch.tensor([False, True]))
    assert flipped[0].equal(images[0])
    assert flipped[1, 0, 0].tolist() == [19, 18, 17, 16]
    assert flipped.dtype == torch.uint8


def test_half_of_the_images_are_mirrored():
    flips = Flip().draw(1000, torch.Generator().manual_seed(0), (1, 4, 4))
    # 500 are expected, with a standard deviation of 16
    assert 430 < int(flips.sum()) < 570

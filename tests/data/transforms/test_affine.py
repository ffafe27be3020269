import pytest
import torch

from capsnet.data.frame import pad_images
from capsnet.data.transforms.affine import affine_images, rotations
from capsnet.data.transforms.shift import shift_images


@pytest.fixture
def images():
    return torch.randint(0, 256, (3, 2, 6, 6), dtype=torch.uint8)


def unit(count):
    return torch.eye(2).repeat(count, 1, 1)


def test_whole_shifts_equal_those_of_augment(images):
    shifts = torch.tensor([[1.0, 0.0], [0.0, -2.0], [-1.0, 2.0]])
    moved = affine_images(images, unit(3), shifts, 6)
    assert moved.equal(shift_images(images, shifts.flip(1).long()))


def test_a_larger_frame_is_padded_with_zeros(images):
    assert affine_images(images, unit(3), torch.zeros(3, 2), 10).equal(pad_images(images, 2))


def test_twice_the_size_has_four_times_the_ink():
    image = torch.zeros(1, 1, 7, 7)
    image[..., 2:5, 2:5] = 1
    drawn = affine_images(image, 2 * unit(1), torch.zeros(1, 2), 15)
    torch.testing.assert_close(drawn.sum(), 4 * image.sum())


def test_images_need_not_be_square():
    image = torch.zeros(1, 1, 3, 5)
    image[0, 0, 1, 4] = 1
    # two to the right of the middle becomes two above it
    turned = affine_images(image, rotations(torch.tensor([90.0])), torch.zeros(1, 2), 5)
    torch.testing.assert_close(turned[0, 0, 0], torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]))

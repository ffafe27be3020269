import pytest
import torch

from capsnet.data.transforms.shift import draw_shifts, shift_images


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

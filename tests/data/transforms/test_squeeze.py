import torch
from tests.official import pixels

from capsnet.data.transforms.squeeze import (
    draw_places,
    draw_squeezes,
    erase_squares,
    place_images,
    squeeze_images,
)


def test_squeezed_image_is_narrower_about_its_middle_and_as_high():
    images = torch.full((2, 1, 8, 8), 200, dtype=torch.uint8)
    narrow = squeeze_images(images, torch.tensor([0, 4]))
    assert narrow[0].equal(images[0])
    assert (narrow[1, 0] == torch.tensor([0, 0, 200, 200, 200, 200, 0, 0])).all()


def test_digits_go_to_the_edges_and_no_further():
    images = torch.zeros(3, 1, 8, 9, dtype=torch.uint8)
    images[:2, 0, 3:5, 2:6] = torch.from_numpy(pixels(2, 4)) + 1
    moved = place_images(images, torch.tensor([[0.0, 0.0], [0.999, 0.999], [0.5, 0.5]]))
    assert moved[0, 0, :2, :4].equal(images[0, 0, 3:5, 2:6])
    assert moved[1, 0, 6:, 5:].equal(images[1, 0, 3:5, 2:6])
    assert moved[2].equal(images[2])


def test_all_places_are_reached_alike():
    images = torch.zeros(3000, 1, 4, 4, dtype=torch.uint8)
    images[:, 0, 1:3, 2] = 9
    moved = place_images(images, draw_places(3000, torch.Generator().manual_seed(0)))
    rows, columns = moved[:, 0, :-1].amax(dim=2).argmax(dim=1), moved[:, 0].amax(dim=1).argmax(dim=1)
    counts = torch.bincount(rows * 4 + columns, minlength=12)
    assert counts.min() > 200
    assert moved.sum() == images.sum()


def test_a_square_is_erased_and_nothing_else():
    images = torch.full((2, 2, 5, 6), 7, dtype=torch.uint8)
    erased = erase_squares(images, torch.tensor([[0, 0], [2, 3]]), 3)
    assert erased.dtype == torch.uint8
    assert erased[0, :, :3, :3].eq(0).all()
    assert erased[1, :, 2:, 3:].eq(0).all()
    assert erased.sum() == images.sum() - 2 * 2 * 9 * 7


def test_squeezes_are_drawn_up_to_the_most():
    drawn = draw_squeezes(500, 7, torch.Generator().manual_seed(0))
    assert drawn.unique().tolist() == list(range(8))

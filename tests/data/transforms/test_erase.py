import pytest
import torch

from capsnet.data.transforms import Erase
from capsnet.data.transforms.erase import erase_squares
from capsnet.errors import UserError


def test_a_square_is_erased_and_nothing_else():
    images = torch.full((2, 2, 5, 6), 7, dtype=torch.uint8)
    erased = erase_squares(images, torch.tensor([[0, 0], [2, 3]]), 3)
    assert erased.dtype == torch.uint8
    assert erased[0, :, :3, :3].eq(0).all()
    assert erased[1, :, 2:, 3:].eq(0).all()
    assert erased.sum() == images.sum() - 2 * 2 * 9 * 7


def test_squares_begin_anywhere_or_at_the_given_corners():
    generator = torch.Generator().manual_seed(0)
    anywhere = Erase(4).draw(3000, generator, (1, 28, 28))
    assert (anywhere.min(), anywhere.max()) == (0, 24)
    # the authors' code: floor(19 u) + 4
    authors = Erase(4, (4, 22)).draw(3000, generator, (1, 28, 28))
    assert authors.unique().tolist() == list(range(4, 23))


def test_a_square_that_does_not_fit_is_refused():
    for erase in (Erase(29), Erase(4, (4, 25))):
        with pytest.raises(UserError, match="does not fit into images of 28x28"):
            erase.draw(1, torch.Generator(), (1, 28, 28))


def test_corners_in_descending_order_are_refused():
    with pytest.raises(UserError, match="FIRST not above LAST"):
        Erase(4, (22, 4))

"""Capsules as feature maps and back."""

import pytest
import torch

from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.functional import to_capsules, to_maps


def test_capsules_are_in_the_order_row_column_type():
    maps = torch.randn(2, 6, 4, 5)
    capsules = to_capsules(maps, 3)
    # row 1, column 2, type 1
    assert torch.equal(capsules.poses[0, (1 * 5 + 2) * 2 + 1], maps[0, 3:6, 1, 2])
    assert capsules.grid == (4, 5)
    assert torch.equal(to_maps(capsules), maps)


@pytest.mark.parametrize(("grid", "words"), [(None, "have no grid"), ((2, 2), "a multiple of 2x2 positions, got 6")])
def test_capsules_that_lie_on_no_grid_are_refused(grid, words):
    with pytest.raises(UserError, match=words):
        to_maps(Capsules(torch.randn(1, 6, 3), torch.rand(1, 6), grid))


def test_capsules_with_a_mask_are_no_maps():
    with pytest.raises(UserError, match="capsules on a grid cannot have a mask"):
        to_maps(Capsules(torch.randn(1, 6, 3), torch.rand(1, 6), (2, 3), torch.ones(1, 6, dtype=torch.bool)))


def test_channels_that_are_no_multiple_of_the_dimension_are_refused():
    with pytest.raises(UserError, match="a multiple of 8 channels, got 12"):
        to_capsules(torch.zeros(1, 12, 2, 2), 8)


def test_an_empty_batch_has_capsules_and_maps():
    capsules = to_capsules(torch.zeros(0, 6, 4, 5), 3)
    assert capsules.poses.shape == (0, 40, 3)
    assert to_maps(capsules).shape == (0, 6, 4, 5)

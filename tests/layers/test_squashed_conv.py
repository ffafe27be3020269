import pytest
import torch

from capsnet.errors import UserError
from capsnet.functional import squash, to_capsules
from capsnet.layers import SquashedConv


def test_channels_in_a_row_are_a_capsule():
    layer, maps = SquashedConv(6, 3, 4, stride=2), torch.randn(2, 6, 7, 5)
    drawn = layer.conv(maps)
    found = layer(maps)
    assert found.grid == drawn.shape[2:] == (4, 3)
    for number in range(3):
        part = slice(4 * number, 4 * number + 4)
        # row 2, column 1
        torch.testing.assert_close(found.poses[1, (2 * 3 + 1) * 3 + number], squash(drawn[1, part, 2, 1]))
    torch.testing.assert_close(found.activations, found.poses.norm(dim=2))


def test_capsules_are_read_as_the_maps_that_they_are():
    layer, maps = SquashedConv(6, 3, 4), torch.randn(2, 6, 7, 5)
    torch.testing.assert_close(layer(to_capsules(maps, 2)).poses, layer(maps).poses)


def test_an_even_window_is_refused_as_it_would_shift_the_maps():
    with pytest.raises(UserError, match="kernel_size must be odd, got 4"):
        SquashedConv(6, 3, 4, kernel_size=4)

import torch

from capsnet.functional import squash
from capsnet.layers import SquashedConv


def test_channels_in_a_row_are_a_capsule():
    layer, maps = SquashedConv(6, 3, 4, stride=2), torch.randn(2, 6, 7, 5)
    drawn = layer.conv(maps)
    found = layer(maps)
    assert found.shape == drawn.shape == (2, 12, 4, 3)
    for kind in range(3):
        part = slice(4 * kind, 4 * kind + 4)
        torch.testing.assert_close(found[1, part, 2, 1], squash(drawn[1, part, 2, 1]))

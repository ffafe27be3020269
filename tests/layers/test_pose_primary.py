import pytest
import torch

from capsnet.errors import UserError
from capsnet.layers import PosePrimaryCapsules


def test_pose_and_activation_are_those_of_one_place():
    layer, features = PosePrimaryCapsules(3, 4, pose_dim=6, offset=-1.0), torch.randn(2, 3, 5, 7)
    capsules = layer(features)
    assert capsules.poses.shape == (2, 5 * 7 * 4, 6)
    y, x, kind = 2, 3, 1
    index = (y * 7 + x) * 4 + kind
    torch.testing.assert_close(capsules.poses[:, index], layer.poses(features)[:, 6 * kind : 6 * kind + 6, y, x])
    expected = (layer.activations(features)[:, kind, y, x] - 1).sigmoid()
    torch.testing.assert_close(capsules.activations[:, index], expected)


@pytest.mark.parametrize(("norm", "gains"), [("type", 4), ("channel", 24), ("layer", 6)])
def test_poses_are_normalised_as_asked(norm, gains):
    layer = PosePrimaryCapsules(3, 4, pose_dim=6, norm=norm)
    assert sum(p.numel() for p in layer.pose_norm.parameters()) == 2 * gains
    poses = layer(3 * torch.randn(8, 3, 5, 5)).poses.reshape(8, 25, 4, 6)
    means = {
        "type": poses.mean(dim=(0, 1, 3)),
        "channel": poses.mean(dim=(0, 1)),
        "layer": poses.mean(dim=3),
    }
    torch.testing.assert_close(means[norm], torch.zeros_like(means[norm]), atol=1e-5, rtol=0)


def test_poses_without_a_norm_are_those_of_the_convolution():
    layer, features = PosePrimaryCapsules(3, 4, pose_dim=6, norm="none"), 3 * torch.randn(8, 3, 5, 5)
    assert not list(layer.pose_norm.parameters())
    expected = layer.poses(features).flatten(2).transpose(1, 2)  # b hw (type dim)
    torch.testing.assert_close(layer(features).poses.reshape(8, 25, 24), expected)


def test_an_algorithm_without_activations_gets_ones():
    layer = PosePrimaryCapsules(3, 4, norm="layer", activations=False)
    assert layer(torch.randn(2, 3, 5, 5)).activations.eq(1).all()
    assert sum(p.numel() for p in layer.parameters()) == 3 * 64 + 32


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_norm_is_refused():
    with pytest.raises(UserError, match="'none', 'type', 'channel' or 'layer', got 'group'"):
        PosePrimaryCapsules(3, 4, norm="group")

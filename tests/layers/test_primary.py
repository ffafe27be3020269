import pytest
import torch
from torch.nn.utils import prune

from capsnet.errors import UserError
from capsnet.functional import squash
from capsnet.layers import PosePrimaryCapsules, PrimaryCapsules, SquashedConv


def test_a_capsule_is_neighbouring_channels_of_one_place():
    layer = PrimaryCapsules(3, 4, pose_dim=8, kernel_size=3)
    features = torch.randn(2, 3, 9, 11)
    maps = layer.conv(features)  # b (type dim) y x
    capsules = layer(features)
    height, width = maps.shape[2:]
    assert capsules.poses.shape == (2, height * width * 4, 8)
    y, x, kind = 2, 1, 3
    expected = squash(maps[:, kind * 8 : (kind + 1) * 8, y, x])
    torch.testing.assert_close(capsules.poses[:, (y * width + x) * 4 + kind], expected)
    torch.testing.assert_close(capsules.activations, capsules.poses.norm(dim=-1))


def test_scale_is_applied_before_the_bias_and_the_squash():
    plain, scaled = PrimaryCapsules(2, 2, kernel_size=3), PrimaryCapsules(2, 2, kernel_size=3, scale=1 / 32)
    scaled.load_state_dict(plain.state_dict())
    torch.nn.init.normal_(plain.conv.bias)
    scaled.conv.bias.data.copy_(plain.conv.bias)
    features = torch.randn(1, 2, 5, 5)
    bias = plain.conv.bias.view(1, -1, 1, 1)
    maps = ((plain.conv(features) - bias) / 32 + bias).permute(0, 2, 3, 1).reshape(1, -1, 8)
    torch.testing.assert_close(scaled(features).poses, squash(maps))


def test_zero_features_give_finite_gradients():
    layer = PrimaryCapsules(1, 1, kernel_size=3)
    layer(torch.zeros(1, 1, 5, 5)).activations.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


def test_sizes_below_one_are_refused():
    with pytest.raises(UserError, match="num_types must be at least 1, got 0"):
        PrimaryCapsules(1, 0)


@pytest.mark.parametrize("place", [(0, "cpu"), (2, "meta")])
def test_empty_batches_and_tensors_without_memory_have_capsules(place):
    batch, device = place
    features = torch.zeros(batch, 3, 6, 6, device=device)
    for layer in (
        PrimaryCapsules(3, 4, kernel_size=3, device=device),
        PosePrimaryCapsules(3, 4, pose_dim=8, kernel_size=3, stride=2, norm="type", device=device).eval(),
        SquashedConv(3, 4, 8, stride=3, device=device),
    ):
        assert layer(features).poses.shape == (batch, 2 * 2 * 4, 8)


def test_hooks_of_the_convolution_run_and_loaded_weights_of_a_pruned_one_count():
    layer, features = PrimaryCapsules(4, 2, kernel_size=3, scale=1 / 32), torch.rand(2, 4, 8, 8)
    calls = []
    layer.conv.register_forward_hook(lambda *_: calls.append(1))
    prune.l1_unstructured(layer.conv, "weight", 0.5)
    before = layer(features).poses
    state = layer.state_dict()
    layer.load_state_dict({**state, "conv.weight_orig": 3 * state["conv.weight_orig"]})
    assert len(calls) == 1
    assert not torch.equal(layer(features).poses, before)
    assert layer.scale == 1 / 32

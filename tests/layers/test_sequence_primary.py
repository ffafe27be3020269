import pytest
import torch

from capsnet.errors import UserError
from capsnet.functional import squash
from capsnet.layers import DenseCapsules, SequencePrimaryCapsules


def test_capsule_is_neighbouring_channels_of_one_window():
    layer, sequences = SequencePrimaryCapsules(3, 4, pose_dim=5, kernel_size=3), torch.randn(2, 3, 11)
    poses = layer(sequences).poses
    window = torch.einsum("oct,ct->o", layer.conv.weight, sequences[1, :, 4:7])  # window 2, stride 2
    torch.testing.assert_close(poses[1, 2 * 4 + 3], squash(window[15:20]))
    assert poses.shape == (2, 5 * 4, 5)


@pytest.mark.parametrize("filler", [torch.nan, 1e9])
def test_padding_has_no_influence(filler):
    layer, parents = SequencePrimaryCapsules(3, 4, kernel_size=3), DenseCapsules(None, 2, shared=True)
    sequences = torch.randn(3, 3, 12)
    lengths = torch.tensor([12, 7, 2])
    padded = sequences.masked_fill(torch.arange(12) >= lengths[:, None, None], filler)
    capsules = layer(padded, lengths)
    # windows that begin at 0, 2, 4 end inside of 7 steps; 2 steps hold no window
    assert capsules.mask.sum(dim=1).tolist() == [5 * 4, 3 * 4, 0]
    out = parents(capsules)
    torch.testing.assert_close(out.poses[1:2], parents(layer(sequences[1:2, :, :7])).poses)
    assert out.poses[2].count_nonzero() == 0
    out.activations.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in [*layer.parameters(), *parents.parameters()])


def test_sequences_that_do_not_fit_are_refused():
    layer = SequencePrimaryCapsules(3, 4, kernel_size=5)
    with pytest.raises(UserError, match="at least the 5 steps of the window, got 4"):
        layer(torch.randn(1, 3, 4))
    with pytest.raises(UserError, match=r"lengths must be from 0 to 9, got \[9, 10\]"):
        layer(torch.randn(2, 3, 9), torch.tensor([9, 10]))


@pytest.mark.usefixtures("unchecked")
def test_sequences_of_another_shape_are_refused():
    with pytest.raises(UserError, match="sequences must be"):
        SequencePrimaryCapsules(3, 4, kernel_size=5)(torch.randn(3, 9))


def test_strided_windows_of_one_step_are_those_of_every_other_step():
    layer, sequences = SequencePrimaryCapsules(3, 4, kernel_size=1, stride=2), torch.randn(2, 3, 9)
    poses = squash(layer.conv(sequences).permute(0, 2, 1).reshape(2, -1, 8))
    torch.testing.assert_close(layer(sequences).poses, poses)

from math import pi

import pytest
import torch

from capsnet.errors import UserError
from capsnet.layers import SequenceDecoder


def test_sequences_have_their_lengths_and_nothing_after():
    decoder, poses, labels = SequenceDecoder(3, 4, 5), torch.randn(2, 3, 4), torch.tensor([2, 0])
    decoded = decoder(poses, labels, torch.tensor([9, 4]))
    assert decoded.shape == (2, 5, 9)
    assert decoded[1, :, 4:].count_nonzero() == 0
    torch.testing.assert_close(decoded[1:, :, :4], decoder(poses[1:], labels[1:], torch.tensor([4])))


def test_only_the_labelled_capsule_is_decoded():
    decoder, poses, lengths = SequenceDecoder(3, 4, 5), torch.randn(1, 3, 4), torch.tensor([6])
    other = poses.clone()
    other[:, :2] += 1
    labels = torch.tensor([2])
    torch.testing.assert_close(decoder(poses, labels, lengths), decoder(other, labels, lengths))
    assert not decoder(poses, labels, lengths).allclose(decoder(poses + 1, labels, lengths))


def test_middle_of_a_sequence_is_half_way_whatever_its_length():
    waves = SequenceDecoder(3, 4, 5, waves=1).encode(torch.tensor([1, 3]), 3)
    middle = torch.tensor([pi / 2]).sin(), torch.tensor([pi / 2]).cos()
    torch.testing.assert_close(waves[0, 0], torch.cat(middle))
    torch.testing.assert_close(waves[1, 1], torch.cat(middle))


def test_a_sequence_without_steps_is_refused():
    with pytest.raises(UserError, match=r"lengths must be 2 numbers from 1, got \[3, 0\]"):
        SequenceDecoder(3, 4, 5)(torch.randn(2, 3, 4), torch.tensor([0, 1]), torch.tensor([3, 0]))

import torch

from capsnet.layers import Decoder
from capsnet.layers.decoder import mask_capsules


def test_only_the_labelled_capsule_is_seen():
    decoder, poses, labels = Decoder(4, 3, (1, 5, 6), hidden=(8,)), torch.randn(2, 4, 3), torch.tensor([1, 3])
    others = poses.clone()
    others[0, [0, 2, 3]] = 9.0
    others[1, :3] = -9.0
    drawn = decoder(poses, labels)
    assert drawn.shape == (2, 1, 5, 6)
    torch.testing.assert_close(decoder(others, labels), drawn)


def test_mask_keeps_the_capsule_and_zeroes_the_rest():
    poses = torch.randn(1, 3, 2)
    masked = mask_capsules(poses, torch.tensor([2]))
    torch.testing.assert_close(masked[0, 2], poses[0, 2])
    assert masked[0, :2].eq(0).all()


def test_pixels_lie_between_zero_and_one():
    drawn = Decoder(2, 3, (3, 4, 4))(100 * torch.randn(5, 2, 3), torch.zeros(5, dtype=torch.long))
    assert drawn.min() >= 0
    assert drawn.max() <= 1

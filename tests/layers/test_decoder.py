import pytest
import torch

from capsnet.errors import UserError
from capsnet.layers import Decoder, UpsamplingDecoder
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


@pytest.mark.parametrize("shape", [(2, 48, 48), (1, 28, 28), (3, 9, 33)])
def test_upsampling_decoder_draws_any_image_from_the_labelled_capsule(shape):
    decoder, poses, labels = (
        UpsamplingDecoder(4, 3, shape, channels=(4, 5, 6)),
        torch.randn(2, 4, 3),
        torch.tensor([1, 3]),
    )
    others = poses.clone()
    others[0, [0, 2, 3]] = 9.0
    drawn = decoder(poses, labels)
    assert drawn.shape == (2, *shape)
    assert 0 <= drawn.min() <= drawn.max() <= 1
    torch.testing.assert_close(decoder(others, labels)[0], drawn[0])


def test_upsampling_decoder_has_the_size_of_the_authors_for_smallnorb():
    decoder = UpsamplingDecoder(5, 16, (2, 48, 48))
    linear, convs = 80 * 64 + 64, 9 * (64 + 64 * 128 + 128 * 128 + 128 * 2) + 64 + 128 + 128 + 2
    assert sum(p.numel() for p in decoder.parameters()) == linear + convs


def test_upsampling_decoder_refuses_other_than_three_convolutions():
    with pytest.raises(UserError, match="three numbers"):
        UpsamplingDecoder(5, 16, (1, 28, 28), channels=(8, 8))

import pytest
import torch

from capsnet.errors import UserError
from capsnet.layers import SequenceStem


def test_one_layer_is_convolution_normalisation_and_relu():
    stem, sequences = SequenceStem(3, (4,), kernel_size=3), torch.randn(2, 3, 7)
    window = torch.einsum("oct,ct->o", stem.convolutions[0].weight, sequences[1, :, 2:5])  # step 3
    expected = ((window - window.mean()) / window.var(correction=0).add(1e-5).sqrt()).relu()
    torch.testing.assert_close(stem(sequences)[1, :, 3], expected)


@pytest.mark.parametrize("filler", [torch.nan, 1e9])
def test_features_are_those_of_each_sequence_alone(filler):
    stem, sequences, lengths = SequenceStem(3, (8, 8)), torch.randn(2, 3, 12), torch.tensor([12, 7])
    padded = sequences.masked_fill(torch.arange(12) >= lengths[:, None, None], filler)
    features = stem(padded, lengths)
    torch.testing.assert_close(features[1:, :, :7], stem(sequences[1:, :, :7]))
    assert features[1, :, 7:].count_nonzero() == 0
    features.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in stem.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 4}, "kernel_size must be odd"),
        ({"channels": ()}, "channels must be at least one number"),
        ({"dropout": 1.0}, "dropout must be below 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        SequenceStem(3, **options)

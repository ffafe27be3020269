"""Convolutions over time for sequences of different lengths.

Layer normalisation: Ba, Kiros, Hinton, "Layer Normalization", 2016, Eq. 4; here over the channels of each step.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.errors import UserError
from capsnet.functional import check_sequences, mask_steps
from capsnet.layers.dense import check_sizes


class SequenceStem(nn.Module):
    """Convolutions over time that keep the number of steps, each with layer normalisation and ReLU.

    Zeros surround each sequence, and padding is set to zero again before each convolution, so that features are those
    of the sequence alone. Each step is normalised over its channels: no other sample of the batch has an influence.

    Args:
        in_channels: channels of the sequence.
        channels: of each convolution.
        kernel_size: steps of each convolution's window, odd.
        dropout: probability that a feature is set to zero in training, after each convolution.

    Shapes:
        sequences `b c t`, lengths `b`; features `b d t`, zero where padding is.

    Raises:
        UserError: a size out of range, an even kernel size, or sequences and lengths that do not fit.

    Example:
        >>> SequenceStem(3, (16, 32))(torch.randn(2, 3, 21), torch.tensor([21, 9])).shape
        torch.Size([2, 32, 21])
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int] = (64, 64),
        *,
        kernel_size: int = 5,
        dropout: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(in_channels=in_channels, channels=tuple(channels), kernel_size=kernel_size, dropout=dropout)
        if not channels:
            raise UserError("channels must be at least one number, got none")
        if kernel_size % 2 == 0:
            raise UserError(f"kernel_size must be odd, so that the number of steps is kept, got {kernel_size}")
        self.in_channels = in_channels
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, after, kernel_size, padding=kernel_size // 2, device=device, dtype=dtype)
            for before, after in pairwise((in_channels, *channels))
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width, device=device, dtype=dtype) for width in channels)
        self.dropout = nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming initialisation, zero bias; normalisation starts as the identity."""
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv1d)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)
        for norm in self.norms:
            assert isinstance(norm, nn.LayerNorm)
            norm.reset_parameters()

    def forward(self, sequences: Float[Tensor, "b c t"], lengths: Int[Tensor, " b"] | None = None) -> Tensor:
        """Compute features of each step.

        Args:
            sequences: padded at the end.
            lengths: steps of each sequence; None: all are as long as the tensor.
        """
        check_sequences(sequences, self.in_channels, lengths)
        outside = None if lengths is None else ~mask_steps(lengths, sequences.shape[2])[:, None]
        features = _clear(sequences, outside)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            normalized = norm(convolution(features).transpose(1, 2)).transpose(1, 2)
            features = _clear(self.dropout(normalized.relu()), outside)
        return features


def _clear(features: Tensor, outside: Tensor | None) -> Tensor:
    # NaN in padding would otherwise reach the gradients of the weights
    return features if outside is None else features.masked_fill(outside, 0)

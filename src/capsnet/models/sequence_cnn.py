"""A convolutional network for sequences of different lengths: the control beside `SequenceCapsNet`.

Wang, Yan, Oates, "Time Series Classification from Scratch with Deep Neural Networks", IJCNN 2017, section II.B (fully
convolutional network): convolutions, global average pooling over time, softmax.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.functional import mask_steps
from capsnet.layers import SequenceStem
from capsnet.models.arguments import check_arguments
from capsnet.models.named import NamedPreset
from capsnet.models.sequence import SEQUENCE_MODELS, SequenceModel


class SequenceCNN(SequenceModel):
    """Convolutions over time, mean and maximum of each feature over the steps that are no padding, softmax.

    A class "capsule" has one dimension, the logit, and its length is the softmax probability, as in `BaselineCNN`.

    Args:
        in_channels: numbers in a step of a sequence.
        num_classes: number of classes.
        stem_channels: channels of each convolution.
        kernel_size: steps of the convolutions' windows, odd.
        dropout: probability for the convolutions' features.

    Shapes:
        sequences `b c t`, lengths `b`; see `CapsNetOutput`: poses `b n 1`, no coupling.

    Raises:
        UserError: sizes out of range.

    Differs from the paper:
        The paper has batch normalisation, and the mean alone.
    """

    loss = "cross-entropy"

    def __init__(
        self,
        in_channels: int = 40,
        num_classes: int = 10,
        *,
        stem_channels: Sequence[int] = (64, 64, 90),
        kernel_size: int = 5,
        dropout: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, num_classes)
        check_arguments(stem_channels=tuple(stem_channels), kernel_size=kernel_size, dropout=dropout)
        self.stem = SequenceStem(
            in_channels, stem_channels, kernel_size=kernel_size, dropout=dropout, device=device, dtype=dtype
        )
        self.classes = nn.Linear(2 * stem_channels[-1], num_classes, device=device, dtype=dtype)

    def forward(self, sequences: Float[Tensor, "b c t"], lengths: Int[Tensor, " b"] | None = None) -> CapsNetOutput:
        """Classify sequences."""
        self.check_input(sequences, lengths)
        steps = sequences.shape[2]
        features = self.stem(sequences, lengths)
        if lengths is None:
            mean = features.mean(dim=2)
        else:
            mask_steps(lengths, steps, shortest=1)
            mean = features.sum(dim=2) / lengths[:, None]
        # features are at least zero, and zero where padding is
        pooled = torch.cat([mean, features.amax(dim=2)], dim=1)
        logits = self.classes(pooled).to(self.classes.weight.dtype)
        probabilities = logits.softmax(dim=1)
        return CapsNetOutput(Capsules(logits[..., None], probabilities), probabilities, None)


SEQUENCE_MODELS.add(
    "sequence-cnn",
    NamedPreset(SequenceCNN, {}, "the control: convolutions over time, mean and maximum without padding, softmax"),
)

"""A capsule network for sequences of different lengths.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 4, over time: convolutions, primary
capsules, class capsules. Windows share their matrices as in Hinton, Sabour, Frosst, "Matrix capsules with EM routing",
ICLR 2018, section 4, where all positions of the last layer do.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.errors import UserError
from capsnet.functional import mask_steps
from capsnet.layers import DenseCapsules, SequenceDecoder, SequencePrimaryCapsules, SequenceStem
from capsnet.models.arguments import check_activates, check_arguments, resolve_routing
from capsnet.models.named import NamedPreset
from capsnet.models.sequence import SEQUENCE_MODELS, SequenceModel, TimeWindows


class SequenceCapsNet(SequenceModel):
    """Convolutions over time, primary capsules of windows, and class capsules by any routing.

    Each type of primary capsule has one transformation matrix for all windows, so that the number of windows may differ
    between samples. Windows that reach into the padding do not vote.

    Args:
        in_channels: numbers in a step of a sequence.
        num_classes: number of class capsules.
        stem_channels: channels of each convolution before the primary capsules.
        kernel_size: steps of these convolutions' windows, odd.
        num_types: types of primary capsule in each window.
        child_dim: dimension of a primary capsule.
        primary_kernel: steps of a primary capsule's window.
        primary_stride: steps between windows.
        parent_dim: dimension of a class capsule.
        dropout: probability for the convolutions' features.
        routing: name of the routing, one that learns nothing of a single child.
        iterations: routing iterations; None: the routing's default (dynamic: 3).
        routing_options: options of the routing, by its argument names.
        decoder: reconstruct sequences.
        decoder_hidden: size of the decoder's hidden layers.

    Shapes:
        sequences `b c t`, lengths `b`; see `CapsNetOutput`: coupling `b i n`, children in the order window, type.

    Raises:
        UserError: sizes that do not fit together, or a routing without activations or for a fixed number of children.
    """

    def __init__(
        self,
        in_channels: int = 40,
        num_classes: int = 10,
        *,
        stem_channels: Sequence[int] = (64, 64),
        kernel_size: int = 5,
        num_types: int = 8,
        child_dim: int = 8,
        primary_kernel: int = 5,
        primary_stride: int = 2,
        parent_dim: int = 16,
        dropout: float = 0.0,
        routing: str = "dynamic",
        iterations: int | None = None,
        routing_options: Mapping[str, object] | None = None,
        decoder: bool = False,
        decoder_hidden: int = 128,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, num_classes)
        check_arguments(stem_channels=tuple(stem_channels), kernel_size=kernel_size, dropout=dropout)
        check_arguments(num_types=num_types, child_dim=child_dim, parent_dim=parent_dim)
        check_arguments(primary_kernel=primary_kernel, primary_stride=primary_stride, decoder_hidden=decoder_hidden)
        self.stem = SequenceStem(
            in_channels, stem_channels, kernel_size=kernel_size, dropout=dropout, device=device, dtype=dtype
        )
        self.primary_capsules = SequencePrimaryCapsules(
            stem_channels[-1],
            num_types,
            pose_dim=child_dim,
            kernel_size=primary_kernel,
            stride=primary_stride,
            device=device,
            dtype=dtype,
        )
        self.class_capsules = DenseCapsules(
            None,
            num_classes,
            child_dim=child_dim,
            parent_dim=parent_dim,
            shared=True,
            num_child_types=num_types,
            routing=routing,
            routing_options=resolve_routing(routing, routing_options, iterations=iterations),
            device=device,
            dtype=dtype,
        )
        self.windows = TimeWindows(primary_kernel, primary_stride, num_types)
        check_activates(self.class_capsules.routing, routing)
        if not self.class_capsules.routing.masks:
            raise UserError(f"routing {routing!r} does not support sequences of different lengths; use another routing")
        if decoder:
            self.decoder = SequenceDecoder(
                num_classes, parent_dim, in_channels, hidden=decoder_hidden, device=device, dtype=dtype
            )

    def forward(self, sequences: Float[Tensor, "b c t"], lengths: Int[Tensor, " b"] | None = None) -> CapsNetOutput:
        """Compute the class capsules of sequences."""
        self.check_input(sequences, lengths)
        if lengths is not None:
            # a sequence without capsules would have no class, and its output is zero
            mask_steps(lengths, sequences.shape[2], shortest=self.primary_capsules.kernel_size)
        primary = self.primary_capsules(self.stem(sequences, lengths), lengths)
        classes = self.class_capsules(primary)
        return CapsNetOutput(Capsules(classes.poses, classes.activations), classes.activations, classes.coupling)


SEQUENCE_MODELS.add(
    "sequence-capsnet",
    NamedPreset(SequenceCapsNet, {}, "convolutions over time, primary and class capsules: tensors b c t with lengths"),
)

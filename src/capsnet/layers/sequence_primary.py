"""Primary capsules of sequences: the layer between channels over time and capsules.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 4; here the window is over time.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.functional import check_sequences, mask_steps, squash
from capsnet.functional.precision import without_autocast
from capsnet.layers.dense import check_sizes


class SequencePrimaryCapsules(nn.Module):
    """One convolution over time; each group of `pose_dim` channels is a capsule's pose, and is squashed.

    Capsules are in the order step, type: capsule `t * num_types + k` holds channels `k * pose_dim` to
    `(k + 1) * pose_dim` of window t. Sequences of different lengths are padded at the end; a capsule whose window
    reaches into the padding is padding itself (`Capsules.mask`), so padding has no influence.

    Args:
        in_channels: channels of the sequence.
        num_types: types of capsule at each step.
        pose_dim: dimension of a pose.
        kernel_size: steps of the convolution's window.
        stride: of the window.

    Shapes:
        sequences `b c t`, lengths `b`; poses `b i d` with `i = t' num_types`; activations `b i`, the lengths of poses;
        mask `b i`, or None if no lengths are given.

    Raises:
        UserError: a size below 1, sequences shorter than the window, or lengths that are none of these sequences.

    Example:
        >>> layer = SequencePrimaryCapsules(3, 4, pose_dim=8, kernel_size=5, stride=2)
        >>> layer(torch.randn(2, 3, 21), lengths=torch.tensor([21, 9])).mask.sum(dim=1)  # 9 and 3 windows of 4 types
        tensor([36, 12])
    """

    def __init__(
        self,
        in_channels: int,
        num_types: int,
        *,
        pose_dim: int = 8,
        kernel_size: int = 9,
        stride: int = 2,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(in_channels=in_channels, num_types=num_types, pose_dim=pose_dim)
        check_sizes(kernel_size=kernel_size, stride=stride)
        self.num_types, self.pose_dim, self.kernel_size, self.stride = num_types, pose_dim, kernel_size, stride
        self.conv = nn.Conv1d(in_channels, num_types * pose_dim, kernel_size, stride, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As `PrimaryCapsules`: Glorot's initialisation at a tenth of its range, zero bias."""
        nn.init.xavier_uniform_(self.conv.weight, gain=0.1)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, sequences: Float[Tensor, "b c t"], lengths: Int[Tensor, " b"] | None = None) -> Capsules:
        """Compute capsules from sequences.

        Args:
            sequences: padded at the end.
            lengths: steps of each sequence; None: all are as long as the tensor.
        """
        check_sequences(sequences, self.conv.in_channels, lengths)
        steps = sequences.shape[2]
        if steps < self.kernel_size:
            raise UserError(f"sequences must have at least the {self.kernel_size} steps of the window, got {steps}")
        if lengths is not None:
            # NaN times a weight of zero is NaN in the gradient of the weight
            sequences = sequences.masked_fill(~mask_steps(lengths, steps)[:, None], 0)
        features = self._convolve(sequences)
        with without_autocast(features.device):
            features = features.to(self.conv.weight.dtype).permute(0, 2, 1)  # b t' channels
            windows = features.shape[1]
            # a reshape to windows * num_types is a division that torch.export cannot prove for any number of steps
            poses = squash(features.unflatten(2, (self.num_types, self.pose_dim)).flatten(1, 2))
            mask = None
            if lengths is not None:
                last = torch.arange(windows, device=lengths.device) * self.stride + self.kernel_size
                mask = (last <= lengths[:, None]).repeat_interleave(self.num_types, dim=1)
            return Capsules(poses, poses.norm(dim=-1), mask=mask)

    def _convolve(self, sequences: Float[Tensor, "b c t"]) -> Float[Tensor, "b channels t2"]:
        # PyTorch makes a strided 1x1 convolution of images of it, which may write out of bounds: see `Conv2d`
        if self.kernel_size == 1 and self.stride > 1:
            return nn.functional.conv1d(sequences[:, :, :: self.stride], self.conv.weight, self.conv.bias)
        features: Tensor = self.conv(sequences)
        return features

    def extra_repr(self) -> str:
        return f"num_types={self.num_types}, pose_dim={self.pose_dim}"

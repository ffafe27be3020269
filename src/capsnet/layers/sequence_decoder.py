"""Reconstruction of a sequence of any length from a class capsule.

The role of the decoder in Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 4.1. That
one has a fixed size; here the position of a step is an input, as in Vaswani et al., "Attention Is All You Need",
NeurIPS 2017, section 3.5, relative to the length of the sequence.
"""

from math import pi

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.errors import UserError
from capsnet.functional import mask_steps
from capsnet.layers.decoder import mask_capsules
from capsnet.layers.dense import check_sizes


class SequenceDecoder(nn.Module):
    """Computes the channels of each step from the labelled class capsule and the step's relative position.

    Args:
        num_classes: number of class capsules.
        pose_dim: dimension of a class capsule's pose.
        out_channels: channels of the sequence.
        hidden: size of both hidden layers.
        waves: number of sines, and of cosines, that encode a position; the fastest has `waves / 2` periods.

    Shapes:
        poses `b n d`, labels and lengths `b`; result `b c t` with as many steps as the longest length, zero where
        padding is.

    Raises:
        UserError: a size below 1, or invalid labels or lengths.
    """

    def __init__(
        self,
        num_classes: int,
        pose_dim: int,
        out_channels: int,
        *,
        hidden: int = 128,
        waves: int = 16,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(num_classes=num_classes, pose_dim=pose_dim, out_channels=out_channels, hidden=hidden, waves=waves)
        self.waves = waves
        self.capsule = nn.Linear(num_classes * pose_dim, hidden, device=device, dtype=dtype)
        self.position = nn.Linear(2 * waves, hidden, bias=False, device=device, dtype=dtype)
        self.hidden = nn.Linear(hidden, hidden, device=device, dtype=dtype)
        self.channels = nn.Linear(hidden, out_channels, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot initialisation, zero bias."""
        for linear in (self.capsule, self.position, self.hidden, self.channels):
            nn.init.xavier_uniform_(linear.weight)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)

    def forward(
        self, poses: Float[Tensor, "b n d"], labels: Int[Tensor, " b"], lengths: Int[Tensor, " b"]
    ) -> Float[Tensor, "b c t"]:
        """Decode the capsule of the class `labels` of each sample to a sequence of `lengths` steps."""
        if len(lengths) != len(poses) or int(lengths.min()) < 1:
            raise UserError(f"lengths must be {len(poses)} numbers from 1, got {lengths.tolist()}")
        steps = int(lengths.max())
        inside = mask_steps(lengths, steps)
        capsule = self.capsule(mask_capsules(poses, labels).flatten(1))
        encoded = self.position(self.encode(lengths, steps).to(capsule.dtype))
        hidden = (capsule[:, None] + encoded).relu()
        channels: Tensor = self.channels(self.hidden(hidden).relu())  # b t c
        return channels.masked_fill(~inside[..., None], 0).transpose(1, 2)

    def encode(self, lengths: Int[Tensor, " b"], steps: int) -> Float[Tensor, "b t waves"]:
        """Sines and cosines of the position of each step between the start, 0, and the end, 1."""
        position = (torch.arange(steps, device=lengths.device) + 0.5) / lengths[:, None]  # b t
        waves = pi * torch.arange(1, self.waves + 1, device=lengths.device)
        angles = position[..., None] * waves
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

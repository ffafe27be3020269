"""Primary capsules: the layer between feature maps and capsules.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 4.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import Capsules
from capsnet.functional import conv2d, squash
from capsnet.functional.precision import without_autocast
from capsnet.layers.conv2d import Conv2d
from capsnet.layers.dense import check_sizes
from capsnet.routing.base import find_fused


class _ScaledConv(Conv2d):
    """A convolution whose weight has a factor, by the fused kernel if it supports the call."""

    scale = 1.0

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b o h2 w2"]:
        # scale the weight only: the bias is not scaled in the authors' code
        weight = self.weight if self.scale == 1.0 else self.weight * self.scale
        arguments = (input, weight, self.bias, (self.stride[0], self.stride[1]))
        maps: Tensor = (find_fused("strided_conv", *arguments) or conv2d)(*arguments)
        return maps


class PrimaryCapsules(nn.Module):
    """One convolution; each group of `pose_dim` channels is a capsule's pose, and is squashed.

    A capsule is `pose_dim` neighbouring channels of **one** place. Capsules are in the order row, column, type:
    capsule `(y * width + x) * num_types + t` holds channels `t * pose_dim` to `(t + 1) * pose_dim` of place `(y, x)`.

    Args:
        in_channels: channels of the feature maps.
        num_types: types of capsule at each position (32 in the paper).
        pose_dim: dimension of a pose (8 in the paper).
        kernel_size: side of the convolution's window.
        stride: of the window.
        scale: factor on the convolution's output, before its bias. The authors' code has 1/32: there the layer is
            a routing with one iteration, whose softmax over 32 zero logits is 1/32. Not in the paper's text.

    Shapes:
        features `b channels h w`; poses `b i c` with `i = h' w' num_types`; activations `b i`, the lengths.

    Raises:
        UserError: a size below 1.
    """

    def __init__(
        self,
        in_channels: int,
        num_types: int,
        *,
        pose_dim: int = 8,
        kernel_size: int = 9,
        stride: int = 2,
        scale: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(in_channels=in_channels, num_types=num_types, pose_dim=pose_dim)
        check_sizes(kernel_size=kernel_size, stride=stride, scale=scale)
        self.num_types, self.pose_dim = num_types, pose_dim
        channels = num_types * pose_dim
        self.conv = _ScaledConv(in_channels, channels, kernel_size, stride, device=device, dtype=dtype)
        self.conv.scale = float(scale)
        self.reset_parameters()

    @property
    def scale(self) -> float:
        """Factor on the convolution's output, before its bias."""
        return self.conv.scale

    def reset_parameters(self) -> None:
        """Glorot's initialisation at a tenth of its range, zero bias: the paper does not state one.

        Capsules that start short learn faster (dev/LOG.md); the authors' 1/32 makes theirs short, too.
        """
        nn.init.xavier_uniform_(self.conv.weight, gain=0.1)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, features: Float[Tensor, "b channels h w"]) -> Capsules:
        """Compute capsules from feature maps."""
        maps = self.conv(features)
        with without_autocast(maps.device):
            maps = maps.to(self.conv.weight.dtype).permute(0, 2, 3, 1)  # b h w channels
            poses = squash(maps.unflatten(3, (self.num_types, self.pose_dim)).flatten(1, 3))
            return Capsules(poses, poses.norm(dim=-1), (maps.shape[1], maps.shape[2]))

    def extra_repr(self) -> str:
        return f"num_types={self.num_types}, pose_dim={self.pose_dim}, scale={self.scale:g}"

"""A convolution whose channels are capsules: convolution and squash, without routing.

Rajasegaran et al., "DeepCaps: Going Deeper with Capsule Networks", CVPR 2019, section 3.
"""

from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import Capsules, RoutingOutput
from capsnet.functional import squash, to_capsules, to_maps
from capsnet.layers.conv2d import Conv2d
from capsnet.layers.dense import check_odd, check_sizes
from capsnet.renamed import renamed


@renamed(types="num_types", dim="pose_dim")
class SquashedConv(nn.Module):
    """A padded convolution without bias; at each place, `pose_dim` channels in a row are a capsule and are squashed.

    It is routing with one iteration, in which all coupling is equal.

    Args:
        channels: channels of the feature maps, or types times dimension of the capsules.
        num_types: types of capsule at each position.
        pose_dim: dimension of a capsule.
        kernel_size: side of the window, odd.
        stride: of the window.

    Shapes:
        feature maps `b channels h w`, or capsules `b (h w t) c` with a grid; poses `b (h' w' num_types) pose_dim`,
        where h' is h / stride, rounded up; activations, the lengths, and grid likewise.

    Raises:
        UserError: a size below 1, an even `kernel_size`, or capsules without a grid.

    Example:
        >>> SquashedConv(128, 32, 8, stride=2)(torch.rand(2, 128, 14, 14)).poses.shape
        torch.Size([2, 1568, 8])

    Differs from the paper:
        All sides are padded equally; for stride 2 the authors' code pads more at the bottom and right.
    """

    def __init__(
        self,
        channels: int,
        num_types: int,
        pose_dim: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(channels=channels, num_types=num_types, pose_dim=pose_dim, kernel_size=kernel_size, stride=stride)
        check_odd(kernel_size)
        self.num_types, self.pose_dim = num_types, pose_dim
        self.conv = Conv2d(
            channels,
            num_types * pose_dim,
            kernel_size,
            stride,
            kernel_size // 2,
            bias=False,
            device=device,
            dtype=dtype,
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform within sqrt(3 / sqrt(N)) for N weights: the default of the authors' code for its six-axis weight."""
        bound = sqrt(3 / sqrt(self.conv.weight.numel()))
        nn.init.uniform_(self.conv.weight, -bound, bound)

    def forward(self, children: Float[Tensor, "b c h w"] | Capsules | RoutingOutput) -> Capsules:
        """Compute the capsules at every position, from feature maps or from other capsules."""
        maps: Tensor = self.conv(children if isinstance(children, Tensor) else to_maps(children))
        each = maps.unflatten(1, (self.num_types, self.pose_dim))
        return to_capsules(squash(each, dim=2).flatten(1, 2), self.pose_dim)

    def extra_repr(self) -> str:
        return f"num_types={self.num_types}, pose_dim={self.pose_dim}"

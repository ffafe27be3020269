"""A convolution whose channels are capsules: convolution and squash, without routing.

Rajasegaran et al., "DeepCaps: Going Deeper with Capsule Networks", CVPR 2019, section 3.
"""

from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.functional import squash
from capsnet.layers.conv2d import Conv2d
from capsnet.layers.dense import check_sizes


class SquashedConv(nn.Module):
    """A padded convolution without bias; at each place, `dim` channels in a row are a capsule and are squashed.

    It is routing with one iteration, in which all coupling is equal.

    Args:
        channels: of the maps that come in: types of child capsule times their dimension.
        types: kinds of capsule at each place.
        dim: dimension of a capsule.
        kernel_size: side of the window, odd.
        stride: step of the window.

    Shapes:
        maps `b channels h w`, result `b (types dim) h' w'`, where h' is h / stride, rounded up.

    Raises:
        UserError: a size below 1.

    Example:
        >>> SquashedConv(128, 32, 8, stride=2)(torch.rand(2, 128, 14, 14)).shape
        torch.Size([2, 256, 7, 7])

    Differs from the paper:
        Every side is padded alike; the authors' code pads more below and at the right where the step is 2.
    """

    def __init__(
        self,
        channels: int,
        types: int,
        dim: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(channels=channels, types=types, dim=dim, kernel_size=kernel_size, stride=stride)
        self.dim = dim
        self.conv = Conv2d(
            channels, types * dim, kernel_size, stride, kernel_size // 2, bias=False, device=device, dtype=dtype
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform within sqrt(3 / sqrt(N)) for N weights: what the authors' code takes for its array of six axes."""
        bound = sqrt(3 / sqrt(self.conv.weight.numel()))
        nn.init.uniform_(self.conv.weight, -bound, bound)

    def forward(self, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b td h2 w2"]:
        """Find the capsules of every place."""
        found: Tensor = self.conv(maps)
        capsules = found.reshape(len(found), -1, self.dim, *found.shape[2:])
        return squash(capsules, dim=2).flatten(1, 2)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"

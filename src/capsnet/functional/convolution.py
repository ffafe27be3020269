"""A convolution that reads only the positions that it needs."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def conv2d(
    x: Float[Tensor, "b c h w"],
    weight: Float[Tensor, "o i kh kw"],
    bias: Float[Tensor, " o"] | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    groups: int = 1,
) -> Float[Tensor, "b o h2 w2"]:
    """Compute `torch.nn.functional.conv2d`; a strided 1x1 window is a slice and a 1x1 convolution of stride 1.

    The result is the same. On a processor with AVX2 but without AVX-512, torch 2.13 (oneDNN 3.12) writes outside its
    memory in the weight gradient of a strided 1x1 convolution of channels-last images with fewer than 8 channels.

    Args:
        x: images or feature maps.
        weight: windows.
        bias: added to each output channel.
        stride: step of the window, or the vertical and the horizontal one.
        padding: zeros at every side, or above and below, and left and right.
        groups: number of channel groups, convolved separately.
    """
    rows, columns = (stride, stride) if isinstance(stride, int) else stride
    if tuple(weight.shape[2:]) == (1, 1) and (rows, columns) != (1, 1):
        above, left = (padding, padding) if isinstance(padding, int) else padding
        if above or left:
            x = F.pad(x, (left, left, above, above))
        return F.conv2d(x[..., ::rows, ::columns], weight, bias, groups=groups)
    return F.conv2d(x, weight, bias, (rows, columns), padding, groups=groups)

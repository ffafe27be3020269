"""A convolution followed by a ReLU: the stem before primary capsules."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from capsnet.layers.dense import check_sizes
from capsnet.routing.base import find_fused


class ConvReLU(nn.Conv2d):
    """`torch.nn.Conv2d` of stride 1 without padding, and ReLU; training on a CPU takes less memory than the two.

    Args:
        in_channels: channels of the images.
        out_channels: channels of the feature maps.
        kernel_size: side of the window.
        device: of the parameters.
        dtype: of the parameters.

    Shapes:
        images `b c h w`; feature maps `b o h' w'` with `h' = h - kernel_size + 1`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, device: object = None, dtype: object = None
    ) -> None:
        check_sizes(in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size)
        super().__init__(in_channels, out_channels, kernel_size, device=device, dtype=dtype)

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Compute the feature maps of images."""
        arguments = (input, self.weight, self.bias)
        kernel = find_fused("conv_relu", *arguments)
        return F.conv2d(*arguments).relu() if kernel is None else kernel(*arguments)

"""A convolution in which a strided 1x1 window reads only the positions that it needs."""

from jaxtyping import Float
from torch import Tensor, nn

from capsnet.functional import conv2d


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d` with the same arguments, parameters and results, computed by `capsnet.functional.conv2d`.

    All convolutions with a stride use it: PyTorch's may write out of bounds if the window is 1x1.

    Shapes:
        input `b c h w`; result `b o h' w'`.

    Example:
        >>> Conv2d(4, 6, 1, stride=2)(torch.rand(2, 4, 7, 7)).shape
        torch.Size([2, 6, 4, 4])
    """

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Compute feature maps from images or from other feature maps."""
        if self.kernel_size != (1, 1) or self.padding_mode != "zeros" or isinstance(self.padding, str):
            return super().forward(input)
        rows, columns = self.stride
        above, left = self.padding
        return conv2d(input, self.weight, self.bias, (rows, columns), (above, left), self.groups)

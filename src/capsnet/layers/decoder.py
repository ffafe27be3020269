"""The fully connected decoder. Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Fig. 2."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.errors import UserError


def mask_capsules(poses: Float[Tensor, "b n d"], labels: Int[Tensor, " b"]) -> Float[Tensor, "b n d"]:
    """Set every capsule but the labelled one to zero (section 4.1)."""
    chosen = nn.functional.one_hot(labels, poses.shape[1])
    return poses * chosen[..., None].to(poses.dtype)


class Decoder(nn.Module):
    """Draws an image from one class capsule: fully connected 512, 1024 with ReLU, then the pixels with a sigmoid.

    Args:
        num_classes: number of class capsules.
        pose_dim: dimension of a class capsule's pose.
        image_shape: channels, height and width of the image.
        hidden: sizes of the hidden layers.

    Shapes:
        poses `b n d`, labels `b`; result `b c h w`, in [0, 1].

    Raises:
        UserError: a hidden size below 1.
    """

    def __init__(
        self,
        num_classes: int,
        pose_dim: int,
        image_shape: tuple[int, int, int],
        *,
        hidden: Sequence[int] = (512, 1024),
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if any(size < 1 for size in hidden):
            raise UserError(f"hidden sizes must be at least 1, got {tuple(hidden)}")
        self.image_shape = image_shape
        sizes = [num_classes * pose_dim, *hidden, prod(image_shape)]
        self.linears = nn.ModuleList(
            nn.Linear(size_in, size_out, device=device, dtype=dtype) for size_in, size_out in pairwise(sizes)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot's initialisation, zero bias: the paper does not state one."""
        for linear in self.linears:
            assert isinstance(linear, nn.Linear)
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, poses: Float[Tensor, "b n d"], labels: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        """Decode the capsule of the class `labels` of each sample."""
        hidden = mask_capsules(poses, labels).flatten(1)
        for linear in self.linears[:-1]:
            hidden = linear(hidden).relu()
        pixels: Tensor = self.linears[-1](hidden)
        return pixels.to(poses.dtype).sigmoid().reshape(-1, *self.image_shape)

"""Primary capsules with separate poses and activations, for routings that use activations.

Hinton, Sabour, Frosst, "Matrix capsules with EM routing", ICLR 2018, section 4.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.functional.precision import without_autocast
from capsnet.layers.conv2d import Conv2d
from capsnet.layers.dense import check_sizes

Norm = Literal["none", "type", "channel", "layer"]


class PosePrimaryCapsules(nn.Module):
    """Two convolutions without bias compute poses and activations (by a sigmoid) from feature maps.

    Capsules are in the order row, column, type: capsule `(y * width + x) * num_types + t` holds channels
    `t * pose_dim` to `(t + 1) * pose_dim` of place `(y, x)`.

    Args:
        in_channels: channels of the feature maps.
        num_types: types of capsule at each position.
        pose_dim: dimension of a pose: 16 for a 4x4 matrix.
        kernel_size: side of the convolutions' window.
        stride: of the window.
        padding: zeros around the feature maps.
        norm: `"none"` (Hinton et al. 2018); batch normalisation of poses and of activations before their sigmoid, by
            `"type"`, with one gain for all numbers of a pose (Ribeiro et al. 2020), or by `"channel"` (Hahn et al.
            2019); or `"layer"`: each pose is normalised by itself (Tsai et al. 2020).
        activations: False: none are computed, and all are 1.
        offset: added before the sigmoid (-1 in the code of Hinton et al.).

    Shapes:
        features `b channels h w`; poses `b (h' w' num_types) pose_dim`; activations `b (h' w' num_types)`.

    Raises:
        UserError: a size below 1, or an unknown norm.
    """

    def __init__(
        self,
        in_channels: int,
        num_types: int,
        *,
        pose_dim: int = 16,
        kernel_size: int = 1,
        stride: int = 1,
        padding: int = 0,
        norm: Norm = "none",
        activations: bool = True,
        offset: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(in_channels=in_channels, num_types=num_types, pose_dim=pose_dim, offset=offset)
        check_sizes(kernel_size=kernel_size, stride=stride, padding=padding)
        if norm not in ("none", "type", "channel", "layer"):
            raise UserError(f"norm must be 'none', 'type', 'channel' or 'layer', got {norm!r}")
        self.num_types, self.pose_dim, self.norm, self.offset = num_types, pose_dim, norm, offset

        def conv(channels: int) -> nn.Conv2d:
            return Conv2d(in_channels, channels, kernel_size, stride, padding, bias=False, device=device, dtype=dtype)

        self.poses = conv(num_types * pose_dim)
        self.activations = conv(num_types) if activations else None
        self.pose_norm = _pose_norm(norm, num_types, pose_dim, device, dtype)
        batch = activations and norm in ("type", "channel")
        self.activation_norm = nn.BatchNorm2d(num_types, device=device, dtype=dtype) if batch else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot initialisation; each paper states a different one."""
        nn.init.xavier_uniform_(self.poses.weight)
        if self.activations is not None:
            nn.init.xavier_uniform_(self.activations.weight)

    def forward(self, features: Float[Tensor, "b channels h w"]) -> Capsules:
        """Compute capsules from feature maps."""
        dtype = self.poses.weight.dtype
        maps = self.poses(features)
        grid = (maps.shape[2], maps.shape[3])
        scores = None if self.activations is None else self.activations(features)
        with without_autocast(maps.device):
            poses = self._poses(maps.to(dtype))
            if scores is None:
                return Capsules(poses, poses.new_ones(poses.shape[:2]), grid)
            scores = scores.to(dtype)
            if self.activation_norm is not None:
                scores = self.activation_norm(scores)
            return Capsules(poses, (scores + self.offset).permute(0, 2, 3, 1).flatten(1).sigmoid(), grid)

    def _poses(self, maps: Float[Tensor, "b channels h w"]) -> Float[Tensor, "b i c"]:
        if self.norm == "channel":
            maps = self.pose_norm(maps)
        elif self.norm == "type":
            maps = self.pose_norm(maps.unflatten(1, (self.num_types, self.pose_dim)).flatten(2)).reshape(maps.shape)
        poses: Tensor = maps.permute(0, 2, 3, 1).unflatten(3, (self.num_types, self.pose_dim)).flatten(1, 3)
        return self.pose_norm(poses) if self.norm == "layer" else poses

    def extra_repr(self) -> str:
        return f"num_types={self.num_types}, pose_dim={self.pose_dim}, norm={self.norm!r}, offset={self.offset:g}"


def _pose_norm(
    norm: Norm, num_types: int, pose_dim: int, device: torch.device | str | None, dtype: torch.dtype | None
) -> nn.Module:
    if norm == "type":
        return nn.BatchNorm1d(num_types, device=device, dtype=dtype)
    if norm == "channel":
        return nn.BatchNorm2d(num_types * pose_dim, device=device, dtype=dtype)
    return nn.LayerNorm(pose_dim, device=device, dtype=dtype) if norm == "layer" else nn.Identity()

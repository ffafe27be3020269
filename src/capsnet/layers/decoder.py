"""Decoders: reconstruct an image from a class capsule.

Fully connected: Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Fig. 2. Convolutional:
Mazzia, Salvetti, Chiaberge, "Efficient-CapsNet", Scientific Reports 2021, the authors' code for smallNORB.
Independent of the class: Rajasegaran et al., "DeepCaps", CVPR 2019, section 3.4, and the authors' code.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.errors import UserError
from capsnet.functional import check_labels
from capsnet.functional.labels import one_hot
from capsnet.layers.dense import check_sizes


def mask_capsules(poses: Float[Tensor, "b n d"], labels: Int[Tensor, " b"]) -> Float[Tensor, "b n d"]:
    """Set every capsule but the labelled one to zero (section 4.1)."""
    chosen = one_hot(check_labels(labels, *poses.shape[:2]), poses.shape[1])
    return poses * chosen[..., None].to(poses.dtype)


class Decoder(nn.Module):
    """Reconstructs an image from a class capsule: fully connected 512, 1024 with ReLU, then pixels with a sigmoid.

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
        check_sizes(num_classes=num_classes, pose_dim=pose_dim, image_shape=image_shape, hidden=tuple(hidden))
        self.image_shape = image_shape
        sizes = [num_classes * pose_dim, *hidden, prod(image_shape)]
        self.linears = nn.ModuleList(
            nn.Linear(size_in, size_out, device=device, dtype=dtype) for size_in, size_out in pairwise(sizes)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot initialisation, zero bias; the paper states none."""
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


class UpsamplingDecoder(nn.Module):
    """Reconstructs an image from one class capsule with far fewer weights: a small map, upsampled three times.

    One linear layer makes the map; three times it is doubled (bilinear) and convolved (3x3, leaky ReLU); a last 3x3
    convolution with a sigmoid makes the pixels. No convolution is padded, so that a map of side s gives an image of
    side 8 s - 16; images of another side are cut from the middle of the next larger one.

    Args:
        num_classes: number of class capsules.
        pose_dim: dimension of a class capsule's pose.
        image_shape: channels, height and width of the image.
        channels: of the three convolutions before the last.

    Shapes:
        poses `b n d`, labels `b`; result `b c h w`, in [0, 1].

    Raises:
        UserError: other than three channels, or one below 1.
    """

    def __init__(
        self,
        num_classes: int,
        pose_dim: int,
        image_shape: tuple[int, int, int],
        *,
        channels: Sequence[int] = (64, 128, 128),
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(num_classes=num_classes, pose_dim=pose_dim, image_shape=image_shape, channels=tuple(channels))
        if len(channels) != 3:
            raise UserError(f"channels must be three numbers, got {tuple(channels)}")
        self.image_shape = image_shape
        self.map_shape = (1, *(-(-(side + 16) // 8) for side in image_shape[1:]))
        self.linear = nn.Linear(num_classes * pose_dim, prod(self.map_shape), device=device, dtype=dtype)
        self.convs = nn.ModuleList(
            nn.Conv2d(channels_in, channels_out, 3, device=device, dtype=dtype)
            for channels_in, channels_out in pairwise([1, *channels, image_shape[0]])
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot initialisation, zero bias, as in the authors' code."""
        for layer in (self.linear, *self.convs):
            assert isinstance(layer, nn.Linear | nn.Conv2d)
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, poses: Float[Tensor, "b n d"], labels: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        """Decode the capsule of the class `labels` of each sample."""
        maps = self.linear(mask_capsules(poses, labels).flatten(1)).reshape(-1, *self.map_shape)
        for conv in self.convs[:-1]:
            doubled = nn.functional.interpolate(maps, scale_factor=2, mode="bilinear")
            maps = nn.functional.leaky_relu(conv(doubled), 0.2)
        pixels: Tensor = self.convs[-1](maps)
        return _middle(pixels, self.image_shape).to(poses.dtype).sigmoid()


class SharedDecoder(nn.Module):
    """Reconstructs an image from a class capsule's pose, independent of the class: all classes share dimensions.

    A linear layer makes a small map of 16 channels; transposed 3x3 convolutions, of which all between the first and the
    last double the map, make 64, 32, 16 and then 8 channels, and the pixels. The map is doubled as long as 7 rows or
    more are left at its start: from 7 to 28 pixels, from 8 to 64. Other images are cut from the middle.

    Args:
        pose_dim: dimension of a class capsule's pose.
        image_shape: channels, height and width of the image.

    Shapes:
        poses `b n d`, labels `b`; result `b c h w`, in [0, 1].

    Differs from the paper:
        A sigmoid ends it, as in the other decoders; in the authors' code a ReLU does, whose pixels may pass 1.
    """

    def __init__(
        self,
        pose_dim: int,
        image_shape: tuple[int, int, int],
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(pose_dim=pose_dim, image_shape=image_shape)
        self.image_shape = image_shape
        doublings = 0
        while max(image_shape[1:]) >= 14 << doublings:
            doublings += 1
        self.map_shape = (16, *(-(-side // (1 << doublings)) for side in image_shape[1:]))
        self.linear = nn.Linear(pose_dim, prod(self.map_shape), device=device, dtype=dtype)
        self.norm = nn.BatchNorm2d(16, eps=1e-3, momentum=0.2, device=device, dtype=dtype)
        channels = [16, 64, *(max(32 >> number, 8) for number in range(doublings)), image_shape[0]]
        self.convs = nn.ModuleList()
        for number, (channels_in, channels_out) in enumerate(pairwise(channels)):
            step = 2 if 0 < number <= doublings else 1
            self.convs.append(
                nn.ConvTranspose2d(
                    channels_in, channels_out, 3, step, 1, output_padding=step - 1, device=device, dtype=dtype
                )
            )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot initialisation, zero bias, as in the authors' code."""
        for layer in (self.linear, *self.convs):
            assert isinstance(layer, nn.Linear | nn.ConvTranspose2d)
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, poses: Float[Tensor, "b n d"], labels: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        """Decode the capsule of the class `labels` of each sample."""
        labels = check_labels(labels, *poses.shape[:2])
        chosen = poses[torch.arange(len(poses), device=poses.device), labels]
        maps = self.norm(self.linear(chosen).relu().reshape(-1, *self.map_shape))
        for conv in self.convs:
            maps = conv(maps)
        return _middle(maps, self.image_shape).to(poses.dtype).sigmoid()


def _middle(pixels: Float[Tensor, "b c y x"], image_shape: tuple[int, int, int]) -> Float[Tensor, "b c h w"]:
    height, width = image_shape[1:]
    top, left = (pixels.shape[2] - height) // 2, (pixels.shape[3] - width) // 2
    return pixels[:, :, top : top + height, left : left + width]

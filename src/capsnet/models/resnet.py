"""Residual blocks of convolutions: the trunk of some capsule networks.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, sections 3 and 4.2.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.layers import Conv2d

Shortcut = Literal["conv", "pad"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation, and a shortcut around them.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        stride: stride of the first convolution.
        shortcut: the shortcut if shapes differ: a 1x1 `"conv"`, or `"pad"`: every second pixel, padded with zero
            channels.

    Shapes:
        maps `b channels_in h w`; result `b channels_out h' w'`, where h' is h / stride, rounded up.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        stride: int = 1,
        shortcut: Shortcut = "conv",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.stride, self.missing = stride, channels_out - channels_in

        def conv(width: int, side: int, step: int) -> nn.Sequential:
            return nn.Sequential(
                Conv2d(width, channels_out, side, step, side // 2, bias=False, device=device, dtype=dtype),
                nn.BatchNorm2d(channels_out, device=device, dtype=dtype),
            )

        self.first, self.second = conv(channels_in, 3, stride), conv(channels_out, 3, 1)
        changes = stride != 1 or self.missing != 0
        self.shortcut = conv(channels_in, 1, stride) if changes and shortcut == "conv" else None

    def forward(self, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """Add the convolutions' output to the input."""
        features: Tensor = self.second(self.first(maps).relu())
        if self.shortcut is not None:
            features = features + self.shortcut(maps)
        else:
            before = self.missing // 2
            kept = maps[:, :, :: self.stride, :: self.stride]
            features = features + nn.functional.pad(kept, (0, 0, 0, 0, before, self.missing - before))
        return features.relu()


def residual_trunk(
    channels: int,
    stages: tuple[tuple[int, int, int], ...],
    *,
    shortcut: Shortcut = "conv",
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> nn.Sequential:
    """A 3x3 convolution and stages of basic blocks.

    Args:
        channels: channels of the image.
        stages: channels, number of blocks and first stride of each stage.
        shortcut: see `BasicBlock`.
    """
    width = stages[0][0]
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 3, padding=1, bias=False, device=device, dtype=dtype),
        nn.BatchNorm2d(width, device=device, dtype=dtype),
        nn.ReLU(),
    ]
    for channels_out, blocks, stride in stages:
        for number in range(blocks):
            step = stride if number == 0 else 1
            layers.append(BasicBlock(width, channels_out, stride=step, shortcut=shortcut, device=device, dtype=dtype))
            width = channels_out
    return nn.Sequential(*layers)

"""Residual blocks of convolutions: the trunk of some capsule networks, and ResNet-20, the control beside them.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, sections 3 and 4.2.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.layers import Conv2d
from capsnet.models.arguments import check_stages
from capsnet.models.factory import MODELS, Preset
from capsnet.models.model import CapsuleModel, conv_grid

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


class ResNet(CapsuleModel):
    """A residual network without capsules: a trunk, the mean over all positions, softmax.

    The defaults are the paper's ResNet-20 for CIFAR-10, with shortcuts padded by zero channels (its option A):
    269,722 parameters. As in `BaselineCNN`, a class "capsule" is one logit, and its length is the softmax probability.

    Args:
        image_shape: channels, height and width.
        num_classes: number of classes.
        stages: channels, blocks and first stride of the stages of the trunk.

    Shapes:
        images `b c h w`; see `CapsNetOutput`: poses `b n 1`, no coupling.

    Raises:
        UserError: sizes below 1.
    """

    loss = "cross-entropy"

    def __init__(
        self,
        image_shape: Sequence[int] = (3, 32, 32),
        num_classes: int = 10,
        *,
        stages: Sequence[tuple[int, int, int]] = ((16, 3, 1), (32, 3, 2), (64, 3, 2)),
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(image_shape, num_classes, pose_dim=1)
        stages = check_stages(stages)
        # padded windows: only an image without pixels is too small
        conv_grid(self.input_shape[1:], [(1, stride) for _, _, stride in stages])
        self.trunk = residual_trunk(self.input_shape[0], stages, shortcut="pad", device=device, dtype=dtype)
        self.classes = nn.Linear(stages[-1][0], num_classes, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming initialisation of the convolutions, as in the paper (section 4.2); Glorot before the softmax."""
        for layer in self.trunk.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            elif isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()
        nn.init.xavier_uniform_(self.classes.weight)
        nn.init.zeros_(self.classes.bias)

    def forward(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
        """Classify images."""
        self.check_images(images)
        logits = self.classes(self.trunk(images).mean((2, 3))).to(self.classes.weight.dtype)
        probabilities = logits.softmax(dim=1)
        return CapsNetOutput(Capsules(logits[..., None], probabilities), probabilities, None)


MODELS.add("resnet-20", Preset(ResNet, {}, "He et al. 2016, ResNet-20 for CIFAR-10: a control, 269,722 parameters"))

"""The convolutional baselines without capsules of Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS
2017, sections 5 and 6: what a capsule network is to be compared with.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.errors import UserError
from capsnet.models.factory import MODELS, Preset
from capsnet.models.model import CapsuleModel, conv_grid


class BaselineCNN(CapsuleModel):
    """Convolutions that keep the image's size, fully connected layers, a softmax over classes; no capsules.

    35,445,522 parameters for MNIST; 24,563,978 for MultiMNIST with the preset's options.

    Args:
        image_shape: channels, height and width.
        num_classes: number of classes.
        channels: of the convolutions.
        kernel_sizes: window sides of the convolutions, odd.
        pool: halve the image after each convolution.
        hidden: sizes of the fully connected layers before the last.
        dropout: share of the last hidden layer that is dropped in training; the paper does not state it.
        decoder: must be False: there are no capsules to draw from.

    Shapes:
        images `b c h w`; lengths `b n`, the softmax; the poses of its `capsules` are empty, `b n 0`.

    Raises:
        UserError: an even window, sizes that do not fit together, or a decoder.
    """

    loss = "likelihood"

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
        *,
        channels: Sequence[int] = (256, 256, 128),
        kernel_sizes: Sequence[int] = (5, 5, 5),
        pool: bool = False,
        hidden: Sequence[int] = (328, 192),
        dropout: float = 0.5,
        decoder: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(image_shape, num_classes)
        if decoder:
            raise UserError("a network without capsules has no decoder; create it with decoder=False")
        if len(kernel_sizes) != len(channels) or any(side % 2 == 0 for side in kernel_sizes):
            raise UserError(
                f"kernel_sizes must be one odd number for each of channels {tuple(channels)}, got {tuple(kernel_sizes)}"
            )
        rows, columns = conv_grid(self.input_shape[1:], [(2, 2)] * len(channels) if pool else [(1, 1)])
        layers: list[nn.Module] = []
        for (channels_in, channels_out), side in zip(
            pairwise([self.input_shape[0], *channels]), kernel_sizes, strict=True
        ):
            conv = nn.Conv2d(channels_in, channels_out, side, padding=side // 2, device=device, dtype=dtype)
            layers += [conv, nn.ReLU(), *([nn.MaxPool2d(2)] if pool else [])]
        layers.append(nn.Flatten())
        sizes = [channels[-1] * rows * columns, *hidden]
        for size_in, size_out in pairwise(sizes):
            layers += [nn.Linear(size_in, size_out, device=device, dtype=dtype), nn.ReLU()]
        layers += [nn.Dropout(dropout), nn.Linear(sizes[-1], num_classes, device=device, dtype=dtype)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
        """Find the classes of images."""
        self.check_images(images)
        share = self.layers(images).to(images.dtype).softmax(dim=1)
        return CapsNetOutput(Capsules(share.new_zeros(*share.shape, 0), share), share, None)


MODELS.add(
    "baseline-cnn",
    Preset(BaselineCNN, {}, "Sabour et al. 2017, the baseline without capsules: 35,445,522 parameters"),
)
MODELS.add(
    "baseline-cnn-multimnist",
    Preset(
        BaselineCNN,
        {
            "image_shape": (1, 36, 36),
            "channels": (512, 256),
            "kernel_sizes": (9, 5),
            "pool": True,
            "hidden": (1024,),
        },
        "Sabour et al. 2017, the baseline of MultiMNIST: 24,563,978 parameters",
    ),
)

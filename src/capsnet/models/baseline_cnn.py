"""The baseline CNN for comparison with the capsule network.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 5 (MNIST) and section 6 (MultiMNIST).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.errors import UserError
from capsnet.models.arguments import check_arguments
from capsnet.models.factory import MODELS, Preset
from capsnet.models.model import CapsuleModel


class BaselineCNN(CapsuleModel):
    """Convolutions with ReLU, fully connected layers, dropout, softmax.

    With the default arguments it is the paper's baseline for MNIST: three 5x5 convolutions of 256, 256 and 128
    channels, fully connected layers of 328 and 192, 35,445,522 parameters. The paper does not state padding; only
    padded convolutions give its number of parameters. A model's output is made of capsules; here a class "capsule" has
    one dimension, the logit, and its length is the softmax probability.

    Args:
        image_shape: channels, height and width.
        num_classes: number of classes.
        channels: channels of each convolution.
        kernel_sizes: window side of each convolution, odd; zeros around the image keep its size.
        pool: 2x2 max pooling after each convolution.
        hidden: sizes of the fully connected layers.
        dropout: probability for the last hidden layer. The paper has dropout there, but states no probability.

    Shapes:
        images `b c h w`, in [0, 1]; see `CapsNetOutput`: poses `b n 1`, no coupling.

    Raises:
        UserError: sizes that do not fit together.
    """

    loss = "cross-entropy"

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
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(image_shape, num_classes, pose_dim=1)
        check_arguments(channels=tuple(channels), kernel_sizes=tuple(kernel_sizes), hidden=tuple(hidden))
        check_arguments(dropout=dropout)
        _check(image_shape, channels, kernel_sizes, pool)
        depth, height, width = image_shape
        sizes = pairwise((depth, *channels))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, side, padding=side // 2, device=device, dtype=dtype)
            for (before, after), side in zip(sizes, kernel_sizes, strict=True)
        )
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        halved = 2 ** len(channels) if pool else 1
        flat = (channels[-1] if channels else depth) * (height // halved) * (width // halved)
        self.hidden = nn.ModuleList(
            nn.Linear(before, after, device=device, dtype=dtype) for before, after in pairwise((flat, *hidden))
        )
        self.dropout = nn.Dropout(dropout)
        self.classes = nn.Linear((flat, *hidden)[-1], num_classes, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming initialisation before a ReLU, Glorot before the softmax, zero biases; the paper states none."""
        for layer in (*self.convolutions, *self.hidden, self.classes):
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            if layer is self.classes:
                nn.init.xavier_uniform_(layer.weight)
            else:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
        """Classify images."""
        self.check_images(images)
        features = images
        for convolution in self.convolutions:
            features = self.pool(convolution(features).relu())
        features = features.flatten(1)
        for layer in self.hidden:
            features = layer(features).relu()
        logits = self.classes(self.dropout(features)).to(self.classes.weight.dtype)
        probabilities = logits.softmax(dim=1)
        return CapsNetOutput(Capsules(logits[..., None], probabilities), probabilities, None)


def _check(
    image_shape: Sequence[int],
    channels: Sequence[int],
    kernel_sizes: Sequence[int],
    pool: bool,
) -> None:
    if len(channels) != len(kernel_sizes):
        raise UserError(f"channels and kernel_sizes must be equally many, got {len(channels)} and {len(kernel_sizes)}")
    for side in kernel_sizes:
        if side % 2 == 0:
            raise UserError(f"kernel_sizes must be odd, so that the image keeps its size, got {side}")
    smallest = 2 ** len(channels) if pool else 1
    if min(image_shape[1:]) < smallest:
        height, width = image_shape[1:]
        raise UserError(
            f"images must be at least {smallest}x{smallest} for {len(channels)} poolings, got {height}x{width}; "
            "use larger images or pool=False"
        )


MODELS.add("baseline-cnn", Preset(BaselineCNN, {}, "Sabour et al. 2017, the baseline for MNIST: 35,445,522 parameters"))
MODELS.add(
    "baseline-cnn-quarter",
    Preset(
        BaselineCNN,
        {"channels": (64, 64, 32)},
        "the same with a quarter of the channels, 8,449,650 parameters: about as many as the capsule network",
    ),
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
            "dropout": 0.0,
        },
        "Sabour et al. 2017, the baseline for MultiMNIST: 24,563,978 parameters",
    ),
)

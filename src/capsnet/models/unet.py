"""U-Net, the control of segmentation with capsules.

Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.errors import UserError
from capsnet.models.arguments import check_arguments
from capsnet.models.segmentation import SEGMENTERS, SegmentationModel, SegmentationOutput, SegmenterPreset


class UNet(SegmentationModel):
    """Two 3x3 convolutions at each level, max pooling down, transposed convolutions up, skip connections.

    Its `lengths` are probabilities, a sigmoid for each class, because masks may overlap; it has no poses.

    Args:
        image_shape: channels, height, width, and depth of volumes; sides are multiples of 2 ** (levels - 1).
        num_classes: number of masks.
        channels: at full resolution; doubled at each level.
        levels: resolutions.

    Raises:
        UserError: sizes that do not fit together.

    Differs from the paper:
        Padded convolutions, so that masks are as large as images; batch normalisation before each ReLU.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 512, 512),
        num_classes: int = 1,
        *,
        channels: int = 64,
        levels: int = 5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(image_shape, num_classes)
        check_arguments(channels=channels, levels=levels)
        if any(side % 2 ** (levels - 1) for side in image_shape[1:]):
            multiple, sides = 2 ** (levels - 1), tuple(image_shape[1:])
            raise UserError(f"sides of images must be multiples of {multiple}, got {sides}; pad the images")
        flat = self.dims == 2
        convolution = partial(nn.Conv2d if flat else nn.Conv3d, device=device, dtype=dtype)
        norm = partial(nn.BatchNorm2d if flat else nn.BatchNorm3d, device=device, dtype=dtype)
        transposed = partial(nn.ConvTranspose2d if flat else nn.ConvTranspose3d, device=device, dtype=dtype)

        def block(before: int, after: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for inputs in (before, after):
                layers += [convolution(inputs, after, 3, padding=1, bias=False), norm(after), nn.ReLU()]
            return nn.Sequential(*layers)

        widths = [channels * 2**level for level in range(levels)]
        pairs = list(pairwise(widths))
        self.first = block(image_shape[0], channels)
        self.pool = nn.MaxPool2d(2) if flat else nn.MaxPool3d(2)
        self.down = nn.ModuleList(block(before, after) for before, after in pairs)
        self.up = nn.ModuleList(transposed(after, before, 2, 2) for before, after in reversed(pairs))
        self.merge = nn.ModuleList(block(2 * before, before) for before, _ in reversed(pairs))
        self.classes = convolution(channels, num_classes, 1)

    def forward(self, images: Float[Tensor, "b c *space"]) -> SegmentationOutput:
        """Find the probability of each class at each pixel."""
        self.check_images(images)
        features: Tensor = self.first(images)
        levels = [features]
        for block in self.down:
            levels.append(block(self.pool(levels[-1])))
        features = levels.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            features = merge(torch.cat([up(features), levels.pop()], dim=1))
        return SegmentationOutput(self.classes(features).sigmoid(), None)


SEGMENTERS.add("unet", SegmenterPreset(UNet, {}, "Ronneberger et al. 2015: 31 million parameters"))
SEGMENTERS.add(
    "unet-small",
    SegmenterPreset(
        UNet,
        {"image_shape": (1, 32, 32), "num_classes": 10, "channels": 7, "levels": 4},
        "the same, with about as many parameters as segcaps-small",
    ),
)

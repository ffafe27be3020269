"""SegCaps: a U-Net of capsules for segmentation.

LaLonde, Bagci, "Capsules for Object Segmentation", MIDL 2018, Fig. 1 and section 2, with the sizes of the authors'
code; for volumes as in Nguyen, Hua, Le, "3D-UCaps: 3D Capsules Unet for Volumetric Image Segmentation", MICCAI 2021.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from capsnet.errors import UserError
from capsnet.layers import LocalConvCapsules, LocalTransposedConvCapsules
from capsnet.losses.dice import check_masks
from capsnet.models.arguments import check_arguments
from capsnet.models.segmentation import SEGMENTERS, SegmentationModel, SegmentationOutput, SegmenterPreset
from capsnet.routing.dynamic import DynamicRouting


class SegCaps(SegmentationModel):
    """Three levels of capsule layers down, three up, with skip connections; a class capsule at each pixel.

    With the defaults and one class it is SegCaps (R3), 1,425,649 parameters with the decoder ("1.4 M" in the paper).
    A shape of four numbers makes every convolution three-dimensional, as in 3D-UCaps.

    Args:
        image_shape: channels, height, width, and depth of volumes; the sides are multiples of 8.
        num_classes: types of class capsule; their masks may overlap.
        num_types: types of capsule at the coarsest level, a multiple of 4; half and a quarter of it above.
        pose_dim: numbers of a pose at full resolution; twice and four times as many below.
        kernel_size: side of the windows, odd; that of transposed layers is 4.
        iterations: of routing.
        same_size_iterations: of layers that keep the resolution; None: `iterations`. 1 is SegCaps (R1).
        decoder: three 1x1 convolutions that reconstruct the image from the capsules inside a mask.
        max_votes: see `LocalConvCapsules`.

    Raises:
        UserError: sizes that do not fit together.

    Differs from the paper:
        More than one class: the authors' last layer has one capsule type. There, routing has one parent and cannot
        choose; with several classes a child's coupling is shared among them. The decoder then receives the poses of
        all classes, each in its mask.
        The first layer of 3D-UCaps, dilated convolutions, is not used for volumes.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 512, 512),
        num_classes: int = 1,
        *,
        num_types: int = 8,
        pose_dim: int = 16,
        kernel_size: int = 5,
        iterations: int = 3,
        same_size_iterations: int | None = None,
        decoder: bool = True,
        max_votes: int | None = 2**22,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(image_shape, num_classes)
        check_arguments(num_types=num_types, kernel_size=kernel_size, iterations=iterations)
        check_arguments(pose_dim=pose_dim, **_given(same_size_iterations=same_size_iterations))
        if num_types % 4:
            raise UserError(f"num_types must be a multiple of 4, got {num_types}")
        if kernel_size % 2 == 0:
            raise UserError(f"kernel_size must be odd, so that layers keep the resolution, got {kernel_size}")
        if any(side % 8 for side in image_shape[1:]):
            raise UserError(f"sides of images must be multiples of 8, got {tuple(image_shape[1:])}; pad the images")
        convolution = partial(nn.Conv2d if self.dims == 2 else nn.Conv3d, device=device, dtype=dtype)
        self.stem = convolution(image_shape[0], pose_dim, kernel_size, padding=kernel_size // 2)
        few, some, many = num_types // 4, num_types // 2, num_types
        one, two, four = pose_dim, 2 * pose_dim, 4 * pose_dim
        layer = partial(
            _make_layer,
            side=kernel_size,
            iterations=iterations,
            same_size_iterations=iterations if same_size_iterations is None else same_size_iterations,
            dims=self.dims,
            max_votes=max_votes,
            device=device,
            dtype=dtype,
        )
        # the first layer has one type of child: nothing to choose
        self.primary = layer("down", (1, one), (few, one), iterations=1)
        self.level_2 = layer("same", (few, one), (some, one))
        self.down_2 = layer("down", (some, one), (some, two))
        self.level_3 = layer("same", (some, two), (many, two))
        self.down_3 = layer("down", (many, two), (many, four))
        self.level_4 = layer("same", (many, four), (many, two))
        self.up_3 = layer("up", (many, two), (many, two))
        self.merge_3 = layer("same", (2 * many, two), (some, two))
        self.up_2 = layer("up", (some, two), (some, one))
        self.merge_2 = layer("same", (2 * some, one), (some, one))
        self.up_1 = layer("up", (some, one), (few, one))
        self.classes = layer("pixel", (few + 1, one), (num_classes, one))
        if decoder:
            self.decoder = _make_decoder(convolution, num_classes * one, image_shape[0])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Biases of the routings are 0.1, as in the authors' code; the layers' own initialisation else."""
        for routing in self.modules():
            if isinstance(routing, DynamicRouting) and routing.bias is not None:
                nn.init.constant_(routing.bias, 0.1)

    def forward(self, images: Float[Tensor, "b c *space"]) -> SegmentationOutput:
        """Compute the class capsules of each pixel."""
        self.check_images(images)
        top = self.stem(images).relu()[:, None]  # b 1 d space
        second = self.level_2(self.primary(top).poses).poses
        third = self.level_3(self.down_2(second).poses).poses
        poses = self.level_4(self.down_3(third).poses).poses
        poses = self.merge_3(torch.cat([self.up_3(poses).poses, third], dim=1)).poses
        poses = self.merge_2(torch.cat([self.up_2(poses).poses, second], dim=1)).poses
        classes = self.classes(torch.cat([self.up_1(poses).poses, top], dim=1))
        return SegmentationOutput(classes.activations, classes.poses)

    def reconstruct(
        self, poses: Float[Tensor, "b n d *space"], masks: Shaped[Tensor, "b n *space"]
    ) -> Float[Tensor, "b c *space"]:
        """Reconstruct images from class capsules, each only inside its mask (masked reconstruction).

        In training the masks are the true ones, and the target is the image inside them.

        Args:
            poses: of the model's output.
            masks: of each class; those of a single class reconstruct that object without the others.

        Raises:
            UserError: no decoder, or masks of another shape.
        """
        if self.decoder is None:
            raise UserError("this model has no decoder; create it with decoder=True")
        check_masks(poses[:, :, 0], masks)
        image: Tensor = self.decoder((poses * masks[:, :, None].to(poses.dtype)).flatten(1, 2))
        return image


Kind = Literal["down", "same", "up", "pixel"]


def _make_layer(
    kind: Kind,
    children: tuple[int, int],
    parents: tuple[int, int],
    *,
    side: int,
    iterations: int,
    same_size_iterations: int,
    dims: int,
    max_votes: int | None,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> LocalConvCapsules | LocalTransposedConvCapsules:
    """A layer from the number of types and numbers of a pose, of children and parents."""
    build = LocalTransposedConvCapsules if kind == "up" else LocalConvCapsules
    window, stride, padding = _windows(kind, side)
    count = iterations if kind in ("down", "up") else same_size_iterations
    return build(
        children[0],
        parents[0],
        child_dim=children[1],
        parent_dim=parents[1],
        kernel_size=window,
        stride=stride,
        padding=padding,
        dims=dims,
        routing_options={"iterations": count, "bias": True},
        max_votes=max_votes,
        device=device,
        dtype=dtype,
    )


def _make_decoder(convolution: Callable[[int, int, int], nn.Module], inputs: int, channels: int) -> nn.Sequential:
    layers = [convolution(inputs, 64, 1), nn.ReLU(), convolution(64, 128, 1), nn.ReLU(), convolution(128, channels, 1)]
    return nn.Sequential(*layers, nn.Sigmoid())


def _windows(kind: Kind, side: int) -> tuple[int, int, int]:
    """Window, stride and padding of a layer."""
    if kind == "up":
        return 4, 2, 1
    if kind == "pixel":
        return 1, 1, 0
    return side, 2 if kind == "down" else 1, side // 2


def _given(**values: int | None) -> Mapping[str, object]:
    return {name: value for name, value in values.items() if value is not None}


SEGMENTERS.add("segcaps", SegmenterPreset(SegCaps, {}, "LaLonde, Bagci 2018: SegCaps (R3), 1,425,649 parameters"))
SEGMENTERS.add(
    "segcaps-r1",
    SegmenterPreset(SegCaps, {"same_size_iterations": 1}, "the same, routed only where the resolution changes (R1)"),
)
SEGMENTERS.add(
    "segcaps-small",
    SegmenterPreset(
        SegCaps,
        {"image_shape": (1, 32, 32), "num_classes": 10, "num_types": 4, "pose_dim": 8, "kernel_size": 3},
        "SegCaps (R3), reduced for overlapping digits on a CPU: half the types and dimensions, 3x3 windows",
    ),
)

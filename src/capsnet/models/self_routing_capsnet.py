"""Self-routing capsule network.

Hahn, Pyeon, Kim, "Self-Routing Capsule Networks", NeurIPS 2019, section 4, and the authors' code.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.functional.precision import without_autocast
from capsnet.layers import ConvCapsules, Decoder, PosePrimaryCapsules
from capsnet.models.arguments import check_arguments, check_stages
from capsnet.models.factory import MODELS, Preset
from capsnet.models.model import CapsuleModel, conv_grid
from capsnet.models.resnet import residual_trunk
from capsnet.renamed import renamed
from capsnet.routing import SelfRouting


@renamed(types="num_types", pose_dim="child_dim", class_dim="parent_dim")
class SelfRoutingCapsNet(CapsuleModel):
    """A residual trunk (ResNet-20), primary capsules with poses and activations, self-routing up to the classes.

    Args:
        image_shape: channels, height and width.
        num_classes: number of class capsules.
        stages: channels, blocks and first stride of the stages of the trunk.
        num_types: types of capsule at each position.
        child_dim: dimension of the poses below the class capsules.
        depth: number of capsule layers including the class layer; the others have padded 3x3 windows, the first
            with stride 2, and batch-normalised poses.
        parent_dim: dimension of a class capsule's pose. 0, as in the authors' code: class capsules have no poses
            and no transformation matrices. A decoder needs poses.
        decoder: reconstruct the image; the paper does not.

    Shapes:
        images `b c h w`; see `CapsNetOutput`: lengths are the activations, which sum to one.

    Raises:
        UserError: sizes below 1, or a decoder of class capsules without poses.
    """

    loss = "likelihood"
    fixed_routing = "self-routing"

    def __init__(
        self,
        image_shape: Sequence[int] = (3, 32, 32),
        num_classes: int = 10,
        *,
        stages: Sequence[tuple[int, int, int]] = ((16, 3, 1), (32, 3, 2), (64, 3, 2)),
        num_types: int = 16,
        child_dim: int = 16,
        depth: int = 1,
        parent_dim: int = 0,
        decoder: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(image_shape, num_classes, pose_dim=parent_dim)
        stages = check_stages(stages)
        check_arguments(num_types=num_types, depth=depth)
        check_arguments(child_dim=child_dim, parent_dim=parent_dim)
        if decoder and parent_dim < 1:
            raise UserError(f"a decoder needs poses of the class capsules: set parent_dim, got {parent_dim}")
        steps = [2, *[1] * (depth - 2)][: depth - 1]
        # a padded 3x3 window gives the same size as an unpadded 1x1 one of the same stride
        windows = [(1, step) for step in (*(step for _, _, step in stages), *steps)]
        grid = conv_grid(self.input_shape[1:], windows)
        self.trunk = residual_trunk(self.input_shape[0], stages, shortcut="pad", device=device, dtype=dtype)
        self.primary_capsules = PosePrimaryCapsules(
            stages[-1][0],
            num_types,
            pose_dim=child_dim,
            kernel_size=3,
            padding=1,
            norm="channel",
            device=device,
            dtype=dtype,
        )
        self.conv_capsules, self.pose_norms = nn.ModuleList(), nn.ModuleList()
        for step in steps:
            layer = ConvCapsules(
                num_types,
                num_types,
                kernel_size=3,
                stride=step,
                padding=1,
                child_dim=child_dim,
                parent_dim=child_dim,
                routing="self-routing",
                device=device,
                dtype=dtype,
            )
            self.conv_capsules.append(layer)
            self.pose_norms.append(nn.BatchNorm1d(num_types * child_dim, device=device, dtype=dtype))
        self.class_capsules = _class_layer(num_types, num_classes, grid, child_dim, parent_dim, device, dtype)
        if decoder:
            self.decoder = Decoder(num_classes, parent_dim, self.input_shape, device=device, dtype=dtype)

    def forward(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
        """Compute the class capsules of images."""
        self.check_images(images)
        capsules: Capsules | RoutingOutput = self.primary_capsules(self.trunk(images))
        for layer, norm in zip(self.conv_capsules, self.pose_norms, strict=True):
            routed = layer(capsules)
            poses = routed.poses.reshape(-1, norm.num_features)  # (b p) (type dim)
            capsules = Capsules(norm(poses).reshape(routed.poses.shape), routed.activations, routed.grid)
        classes = self._classes(capsules)
        return CapsNetOutput(Capsules(classes.poses, classes.activations), classes.activations, classes.coupling)

    def _classes(self, children: Capsules | RoutingOutput) -> RoutingOutput:
        if isinstance(self.class_capsules, ConvCapsules):
            classes: RoutingOutput = self.class_capsules(children)
            return classes
        poses, activations = children.poses, children.activations
        with without_autocast(poses.device):
            none = poses.new_zeros(*poses.shape[:2], self.class_capsules.num_parents, 0)
            parents: RoutingOutput = self.class_capsules(none, activations, poses=poses)
            return parents


def _class_layer(
    num_types: int,
    num_classes: int,
    grid: tuple[int, int],
    child_dim: int,
    parent_dim: int,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> ConvCapsules | SelfRouting:
    """All capsules of the grid vote; without class poses there are no votes, only routing."""
    if parent_dim == 0:
        children = grid[0] * grid[1] * num_types
        return SelfRouting(children, num_classes, child_dim=child_dim, parent_dim=0, device=device, dtype=dtype)
    return ConvCapsules(
        num_types,
        num_classes,
        grid=grid,
        kernel_size=None,
        child_dim=child_dim,
        parent_dim=parent_dim,
        routing="self-routing",
        device=device,
        dtype=dtype,
    )


MODELS.add(
    "self-routing-capsnet",
    Preset(SelfRoutingCapsNet, {}, "Hahn et al. 2019: ResNet-20 under one layer of self-routing, for CIFAR-10"),
)
MODELS.add(
    "self-routing-capsnet-small",
    Preset(
        SelfRoutingCapsNet,
        {"image_shape": (3, 64, 64), "stages": ((16, 1, 2), (32, 1, 2), (64, 1, 2)), "num_types": 8},
        "the same on a trunk of three strided blocks, for photos of 64 pixels on a CPU",
    ),
)

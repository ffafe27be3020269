"""Self-routing capsule network.

Hahn, Pyeon, Kim, "Self-Routing Capsule Networks", NeurIPS 2019, section 4, and the authors' code.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.layers import ConvCapsules, Decoder, PosePrimaryCapsules
from capsnet.models.arguments import check_arguments
from capsnet.models.factory import MODELS, Preset
from capsnet.models.model import CapsuleModel, conv_grid
from capsnet.models.resnet import residual_trunk
from capsnet.routing import SelfRouting


class SelfRoutingCapsNet(CapsuleModel):
    """A residual trunk (ResNet-20), primary capsules with poses and activations, self-routing up to the classes.

    Args:
        image_shape: channels, height and width.
        num_classes: number of class capsules.
        stages: channels, blocks and first step of the stages of the trunk.
        types: kinds of capsule at each place.
        pose_dim: dimension of a pose.
        depth: capsule layers, the class layer among them; those below it have 3x3 windows, the first of them of
            step 2, padded, and batch normalised poses.
        class_dim: dimension of a class capsule's pose. In the authors' code class capsules have none, and need no
            transformation matrices: 0. A decoder needs one.
        decoder: reconstruct the image; the paper does not.

    Shapes:
        images `b c h w`; see `CapsNetOutput`: lengths are the activations, which sum to one.

    Raises:
        UserError: sizes below 1, or a decoder of class capsules without poses.
    """

    loss = "likelihood"
    fixed_routing = "self_routing"

    def __init__(
        self,
        image_shape: Sequence[int] = (3, 32, 32),
        num_classes: int = 10,
        *,
        stages: Sequence[tuple[int, int, int]] = ((16, 3, 1), (32, 3, 2), (64, 3, 2)),
        types: int = 16,
        pose_dim: int = 16,
        depth: int = 1,
        class_dim: int = 0,
        decoder: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(image_shape, num_classes, pose_dim=class_dim)
        check_arguments(stages=tuple(stages), types=types, pose_dim=pose_dim, depth=depth, class_dim=class_dim)
        if decoder and class_dim < 1:
            raise UserError(f"a decoder needs poses of the class capsules: set class_dim, got {class_dim}")
        stages = tuple(stages)
        # a padded 3x3 convolution of step s is as large as an unpadded 1x1 one
        grid = conv_grid(self.input_shape[1:], [(1, step) for _, _, step in stages])
        self.trunk = residual_trunk(self.input_shape[0], stages, shortcut="pad", device=device, dtype=dtype)
        self.primary_capsules = PosePrimaryCapsules(
            stages[-1][0],
            types,
            pose_dim=pose_dim,
            kernel_size=3,
            padding=1,
            norm="channel",
            device=device,
            dtype=dtype,
        )
        self.conv_capsules, self.pose_norms = nn.ModuleList(), nn.ModuleList()
        for number in range(depth - 1):
            layer = ConvCapsules(
                types,
                types,
                grid=grid,
                kernel_size=3,
                stride=2 if number == 0 else 1,
                padding=1,
                child_dim=pose_dim,
                parent_dim=pose_dim,
                routing="self_routing",
                device=device,
                dtype=dtype,
            )
            grid = layer.out_grid
            self.conv_capsules.append(layer)
            self.pose_norms.append(nn.BatchNorm1d(types * pose_dim, device=device, dtype=dtype))
        self.class_capsules = _class_layer(types, num_classes, grid, pose_dim, class_dim, device, dtype)
        if decoder:
            self.decoder = Decoder(num_classes, class_dim, self.input_shape, device=device, dtype=dtype)

    def forward(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
        """Find the class capsules of images."""
        self.check_images(images)
        capsules: Capsules | RoutingOutput = self.primary_capsules(self.trunk(images))
        for layer, norm in zip(self.conv_capsules, self.pose_norms, strict=True):
            found = layer(capsules)
            places = found.poses.reshape(-1, norm.num_features)  # (b p) (type dim)
            capsules = Capsules(norm(places).reshape(found.poses.shape), found.activations)
        classes = self._classes(capsules)
        return CapsNetOutput(Capsules(classes.poses, classes.activations), classes.activations, classes.coupling)

    def _classes(self, children: Capsules | RoutingOutput) -> RoutingOutput:
        if isinstance(self.class_capsules, ConvCapsules):
            classes: RoutingOutput = self.class_capsules(children)
            return classes
        poses, activations = children.poses, children.activations
        with torch.autocast(poses.device.type, enabled=False):
            none = poses.new_zeros(*poses.shape[:2], self.class_capsules.num_parents, 0)
            parents: RoutingOutput = self.class_capsules(none, activations, poses=poses)
            return parents


def _class_layer(
    types: int,
    num_classes: int,
    grid: tuple[int, int],
    pose_dim: int,
    class_dim: int,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> ConvCapsules | SelfRouting:
    """All capsules of the grid vote; without class poses there is no vote, and routing is all."""
    if class_dim == 0:
        children = grid[0] * grid[1] * types
        return SelfRouting(children, num_classes, child_dim=pose_dim, parent_dim=0, device=device, dtype=dtype)
    return ConvCapsules(
        types,
        num_classes,
        grid=grid,
        kernel_size=None,
        child_dim=pose_dim,
        parent_dim=class_dim,
        routing="self_routing",
        device=device,
        dtype=dtype,
    )


MODELS.add(
    "self-routing-capsnet",
    Preset(SelfRoutingCapsNet, {}, "Hahn et al. 2019: ResNet-20 under one layer of self-routing, for CIFAR-10"),
)

"""DeepCaps.

Rajasegaran, Jayasundara, Jayasekara, Jayasekara, Seneviratne, Rodrigo, "DeepCaps: Going Deeper with Capsule Networks",
CVPR 2019, and the authors' code.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.functional.precision import without_autocast
from capsnet.layers import DenseCapsules, SharedDecoder, SquashedConv, VolumeCapsules
from capsnet.models.arguments import check_arguments
from capsnet.models.factory import MODELS, Preset
from capsnet.models.model import CapsuleModel, conv_grid
from capsnet.renamed import renamed
from capsnet.routing import DynamicRouting


@renamed(types="num_types", dim="pose_dim")
class CapsuleCell(nn.Module):
    """A squashed convolution of stride 2, then two more with a skip connection: a squashed convolution, or 3D routing.

    Args:
        channels: channels of the feature maps, or types times dimension of the capsules.
        num_types: types of capsule at each position.
        pose_dim: dimension of a capsule.
        iterations: iterations of the 3D routing in the skip connection; 0: a squashed convolution.

    Shapes:
        feature maps `b channels h w`, or capsules with a grid; poses `b (h' w' num_types) pose_dim`, where h' is half
        of h, rounded up.
    """

    def __init__(
        self,
        channels: int,
        num_types: int,
        pose_dim: int,
        *,
        iterations: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()

        def conv(width: int, stride: int) -> SquashedConv:
            return SquashedConv(width, num_types, pose_dim, stride=stride, device=device, dtype=dtype)

        self.entry = conv(channels, 2)
        self.skip: nn.Module = conv(num_types * pose_dim, 1)
        if iterations:
            self.skip = VolumeCapsules(
                num_types,
                num_types,
                child_dim=pose_dim,
                parent_dim=pose_dim,
                iterations=iterations,
                device=device,
                dtype=dtype,
            )
        self.deep = nn.Sequential(conv(num_types * pose_dim, 1), conv(num_types * pose_dim, 1))

    def forward(self, children: Float[Tensor, "b c h w"] | Capsules) -> Capsules:
        """Add the poses of both branches."""
        entered: Capsules = self.entry(children)
        deep: Capsules = self.deep(entered)
        skipped: Capsules | RoutingOutput = self.skip(entered)
        poses = deep.poses + skipped.poses
        return Capsules(poses, poses.norm(dim=-1), deep.grid)


@renamed(types="num_types", dims="pose_dims", class_dim="parent_dim")
class DeepCaps(CapsuleModel):
    """A convolution and four cells of capsules; those of the last two cells are routed to the class capsules.

    8,441,920 parameters without the decoder for MNIST, and 13,359,424 for colour images of 64x64 pixels, to which the
    paper enlarges those of 32x32.

    Args:
        image_shape: channels, height and width.
        num_classes: number of class capsules.
        stem_channels: channels of the convolution.
        num_types: types of capsule at each position, in all cells.
        pose_dims: dimension of a capsule in each cell.
        parent_dim: dimension of a class capsule.
        iterations: of both routings: the 3D one in the last cell, and the dynamic one of the class capsules.
        loss: `"margin"`, or `"hard-margin"`, which the authors' code uses in a second phase.
        decoder: reconstruct the image from the pose of the class capsule.

    Shapes:
        images `b c h w`, in [0, 1]; see `CapsNetOutput`.

    Raises:
        UserError: an empty image, sizes below 1, or an unknown option.

    Differs from the paper:
        The paper states 7.22 million parameters for CIFAR-10; the authors' code, whose layers these are, has more.
        The authors' code mixes places and types before its 3D convolution (`VolumeCapsules`).
    """

    fixed_routing = "dynamic"

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
        *,
        stem_channels: int = 128,
        num_types: int = 32,
        pose_dims: Sequence[int] = (4, 8, 8, 8),
        parent_dim: int = 32,
        iterations: int = 3,
        loss: Literal["margin", "hard-margin"] = "margin",
        decoder: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(image_shape, num_classes, pose_dim=parent_dim)
        _check(pose_dims, loss)
        check_arguments(stem_channels=stem_channels, num_types=num_types, pose_dims=tuple(pose_dims))
        check_arguments(parent_dim=parent_dim, iterations=iterations)
        self.loss = loss
        grids = [conv_grid(self.input_shape[1:], [(1, 2)] * number) for number in (3, 4)]
        self.stem = nn.Conv2d(self.input_shape[0], stem_channels, 3, padding=1, device=device, dtype=dtype)
        self.stem_norm = nn.BatchNorm2d(stem_channels, eps=1e-3, momentum=0.01, device=device, dtype=dtype)
        widths = [stem_channels, *(num_types * dim for dim in pose_dims)]
        self.cells = nn.ModuleList(
            CapsuleCell(width, num_types, dim, iterations=iterations if number == 3 else 0, device=device, dtype=dtype)
            for number, (width, dim) in enumerate(zip(widths[:-1], pose_dims, strict=True))
        )
        self.class_capsules = DenseCapsules(
            num_types * sum(rows * columns for rows, columns in grids),
            num_classes,
            child_dim=pose_dims[3],
            parent_dim=parent_dim,
            routing="dynamic",
            routing_options={"iterations": iterations, "bias": True},
            device=device,
            dtype=dtype,
        )
        if decoder:
            self.decoder = SharedDecoder(parent_dim, self.input_shape, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot's uniform initialisation of convolution, transformations and bias, as in the authors' code."""
        nn.init.xavier_uniform_(self.stem.weight)
        assert self.stem.bias is not None
        nn.init.zeros_(self.stem.bias)
        # their arrays are j i d c and j d: the last two axes count as fan-in and fan-out, the others as a window
        children, child_dim, parents, parent_dim = self.class_capsules.weight.shape
        bound = sqrt(6 / (parents * children * (child_dim + parent_dim)))
        nn.init.uniform_(self.class_capsules.weight, -bound, bound)
        routing = self.class_capsules.routing
        assert isinstance(routing, DynamicRouting)
        assert routing.bias is not None
        bound = sqrt(6 / (parents + parent_dim))
        nn.init.uniform_(routing.bias, -bound, bound)

    def forward(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
        """Compute the class capsules of images."""
        self.check_images(images)
        below: Tensor | Capsules = self.stem_norm(self.stem(images).relu())
        outputs: list[Capsules] = []
        for cell in self.cells:
            outputs.append(cell(below))
            below = outputs[-1]
        with without_autocast(images.device):
            dtype = self.stem.weight.dtype
            poses = torch.cat([capsules.poses.to(dtype) for capsules in (outputs[3], outputs[2])], dim=1)
            classes = self.class_capsules(Capsules(poses, poses.norm(dim=-1)))
        return CapsNetOutput(Capsules(classes.poses, classes.activations), classes.activations, classes.coupling)


def _check(pose_dims: Sequence[int], loss: str) -> None:
    if len(pose_dims) != 4:
        raise UserError(f"pose_dims must be four numbers, one for each cell, got {tuple(pose_dims)}")
    if pose_dims[2] != pose_dims[3]:
        raise UserError(
            f"the last two cells are routed together: the last two pose_dims must be equal, got {tuple(pose_dims)}"
        )
    if loss not in ("margin", "hard-margin"):
        raise UserError(f"loss must be 'margin' or 'hard-margin', got {loss!r}")


MODELS.add(
    "deepcaps",
    Preset(DeepCaps, {}, "Rajasegaran et al. 2019: four cells of capsules, 3D routing, one decoder for all classes"),
)
MODELS.add(
    "deepcaps-small",
    Preset(
        DeepCaps,
        {"stem_channels": 32, "num_types": 8, "parent_dim": 16},
        "Rajasegaran et al. 2019, reduced for MNIST on a CPU: 8 types of capsule in place of 32",
    ),
)

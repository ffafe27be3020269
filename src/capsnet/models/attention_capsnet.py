"""Capsules with inverted dot-product attention.

Tsai, Srivastava, Goh, Salakhutdinov, "Capsules with Inverted Dot-Product Attention Routing", ICLR 2020, sections 3
and 4, and the authors' code.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.functional.precision import without_autocast
from capsnet.layers import ConvCapsules, Decoder, DenseCapsules, PosePrimaryCapsules
from capsnet.models.arguments import check_arguments, check_pose_shape, check_stages
from capsnet.models.factory import MODELS, Preset
from capsnet.models.model import CapsuleModel, conv_grid
from capsnet.models.resnet import residual_trunk
from capsnet.renamed import renamed
from capsnet.routing import InvertedDotProductRouting

_STAGES = ((64, 3, 1), (128, 4, 2))
_WINDOWS = ((3, 2), (3, 1))
_ROUTING = "inverted-dot-product"


@renamed(types="num_types", pose_side="pose_shape")
class AttentionCapsNet(CapsuleModel):
    """A residual trunk, two convolutional capsule layers, class capsules, and a linear map from their poses to logits.

    All capsule layers are updated at once: from the second iteration on, every layer uses its children's and its own
    poses from the previous iteration (concurrent routing). 1,828,817 parameters for CIFAR-10.

    Args:
        image_shape: channels, height and width.
        num_classes: number of class capsules.
        stages: channels, blocks and first stride of the stages of the trunk.
        num_types: types of capsule of the primary layer and of the two convolutional ones.
        hidden: capsules of dense layers below the class layer (20 for CIFAR-100).
        pose_shape: rows and columns of a pose matrix, or the side of a square one: 4, and 6 for CIFAR-100.
        iterations: of routing, including the first, uniform one.
        schedule: `"concurrent"`, or `"sequential"`: each layer completes its iterations before the next.
        decoder: reconstruct the image; the paper does not.

    Shapes:
        images `b c h w`; see `CapsNetOutput`: lengths are a softmax of logits computed from the poses.

    Raises:
        UserError: an image too small for the capsule layers, sizes below 1, or an unknown option.
    """

    loss = "likelihood"
    fixed_routing = _ROUTING

    def __init__(
        self,
        image_shape: Sequence[int] = (3, 32, 32),
        num_classes: int = 10,
        *,
        stages: Sequence[tuple[int, int, int]] = _STAGES,
        num_types: Sequence[int] = (32, 32, 32),
        hidden: Sequence[int] = (),
        pose_shape: int | tuple[int, int] = 4,
        iterations: int = 2,
        schedule: Literal["concurrent", "sequential"] = "concurrent",
        decoder: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        shape = check_pose_shape(pose_shape)
        dim = shape[0] * shape[1]
        super().__init__(image_shape, num_classes, pose_dim=dim)
        stages = check_stages(stages)
        check_arguments(num_types=tuple(num_types), hidden=tuple(hidden), iterations=iterations)
        if schedule not in ("concurrent", "sequential"):
            raise UserError(f"schedule must be 'concurrent' or 'sequential', got {schedule!r}")
        if len(num_types) != 3:
            raise UserError(f"num_types must be three numbers, got {tuple(num_types)}")
        self.iterations, self.schedule = iterations, schedule
        # a padded 3x3 convolution gives the same size as an unpadded 1x1 one of the same stride
        trunk = [(1, step) for _, _, step in stages]
        rows, columns = conv_grid(self.input_shape[1:], [*trunk, *_WINDOWS])
        self.trunk = residual_trunk(self.input_shape[0], stages, device=device, dtype=dtype)
        self.primary_capsules = PosePrimaryCapsules(
            stages[-1][0], num_types[0], pose_dim=dim, norm="layer", activations=False, device=device, dtype=dtype
        )
        dense = (rows * columns * num_types[-1], *hidden, num_classes)
        self.capsule_layers = nn.ModuleList(self._layers(num_types, dense, shape, device, dtype))
        self.read = nn.Linear(dim, 1, device=device, dtype=dtype)
        if decoder:
            self.decoder = Decoder(num_classes, dim, self.input_shape, device=device, dtype=dtype)
        self.reset_parameters()

    def _layers(
        self,
        num_types: Sequence[int],
        dense: Sequence[int],
        pose_shape: tuple[int, int],
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> list[nn.Module]:
        """Two convolutional layers, and dense ones up to the classes."""
        # in the concurrent schedule a layer does one iteration at a time
        options = {"iterations": self.iterations if self.schedule == "sequential" else 1}
        dim = pose_shape[0] * pose_shape[1]
        layers: list[nn.Module] = []
        for below, above, (side, step) in zip(num_types[:-1], num_types[1:], _WINDOWS, strict=True):
            layer = ConvCapsules(
                below,
                above,
                kernel_size=side,
                stride=step,
                child_dim=dim,
                parent_dim=dim,
                pose_shape=pose_shape,
                routing=_ROUTING,
                routing_options=options,
                device=device,
                dtype=dtype,
            )
            layers.append(layer)
        for children, parents in pairwise(dense):
            top = DenseCapsules(
                children,
                parents,
                child_dim=dim,
                parent_dim=dim,
                pose_shape=pose_shape,
                routing=_ROUTING,
                routing_options=options,
                device=device,
                dtype=dtype,
            )
            layers.append(top)
        return layers

    def reset_parameters(self) -> None:
        """Normal transformations with variance J / (side i), for i children of J parents: the authors' code."""
        for layer in self.capsule_layers:
            assert isinstance(layer, ConvCapsules | DenseCapsules)
            children, side, parents, _ = layer.weight.shape
            nn.init.normal_(layer.weight, std=sqrt(parents / (side * children)))

    def forward(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
        """Compute the class capsules of images."""
        self.check_images(images)
        primary = self.primary_capsules(self.trunk(images))
        with without_autocast(images.device):
            outputs: list[RoutingOutput] = []
            below: Capsules | RoutingOutput = primary
            for layer in self.capsule_layers:
                outputs.append(layer(below))
                below = outputs[-1]
            if self.schedule == "concurrent":
                for _ in range(self.iterations - 1):
                    outputs = [
                        update_parents(layer, children, parents)
                        for layer, children, parents in zip(
                            self.capsule_layers, [primary, *outputs[:-1]], outputs, strict=True
                        )
                    ]
            poses = outputs[-1].poses
            share = self.read(poses)[..., 0].softmax(dim=1)
        return CapsNetOutput(Capsules(poses, share), share, outputs[-1].coupling)


def update_parents(layer: nn.Module, children: Capsules | RoutingOutput, parents: RoutingOutput) -> RoutingOutput:
    """One step of inverted dot-product routing in a capsule layer, from poses of children and parents."""
    assert isinstance(layer, ConvCapsules | DenseCapsules)
    assert isinstance(layer.routing, InvertedDotProductRouting)
    inside = layer.gather(children)
    votes = layer.votes(inside)
    before = parents.poses.reshape(len(votes), -1, layer.parent_dim)
    out = layer.routing.update(votes, before)
    if isinstance(layer, DenseCapsules):
        return out
    return RoutingOutput(
        out.poses.reshape(parents.poses.shape), out.activations.reshape(parents.activations.shape), None, parents.grid
    )


MODELS.add(
    "attention-capsnet",
    Preset(
        AttentionCapsNet, {}, "Tsai et al. 2020, CIFAR-10: inverted dot-product attention routing, 1,828,817 parameters"
    ),
)
MODELS.add(
    "attention-capsnet-cifar100",
    Preset(
        AttentionCapsNet,
        {"num_classes": 100, "hidden": (20,), "pose_shape": 6},
        "Tsai et al. 2020, CIFAR-100: one more capsule layer, 6x6 poses, 2,799,629 parameters",
    ),
)
MODELS.add(
    "attention-capsnet-small",
    Preset(
        AttentionCapsNet,
        {"image_shape": (1, 28, 28), "stages": ((32, 1, 2), (64, 1, 2)), "num_types": (8, 8, 8)},
        "Tsai et al. 2020, reduced for MNIST on a CPU: two residual blocks, 8 types of capsule, 105,777 parameters",
    ),
)

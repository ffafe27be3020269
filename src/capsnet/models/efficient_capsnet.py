"""Efficient-CapsNet.

Mazzia, Salvetti, Chiaberge, "Efficient-CapsNet: Capsule Network with Self-Attention Routing", Scientific Reports 2021,
and the authors' code.
"""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.errors import UserError
from capsnet.functional import exponential_squash
from capsnet.functional.precision import without_autocast
from capsnet.layers import Conv2d, Decoder, DenseCapsules, UpsamplingDecoder
from capsnet.models.arguments import check_activates, check_arguments, resolve_routing
from capsnet.models.factory import MODELS, Preset
from capsnet.models.grid import Grid
from capsnet.models.model import CapsuleModel, conv_grid
from capsnet.renamed import renamed

_CHANNELS = (32, 64, 64, 128)


@renamed(primary_types="num_types", primary_dim="child_dim", class_dim="parent_dim")
class EfficientCapsNet(CapsuleModel):
    """Four convolutions, a depthwise convolution that makes a few primary capsules, and self-attention routing.

    161,824 trainable parameters without the decoder for MNIST.

    Args:
        image_shape: channels, height and width.
        num_classes: number of class capsules.
        kernel_sizes: window sides of the four convolutions, of 32, 64, 64 and 128 channels.
        strides: strides of the four convolutions.
        norm: `"batch"` after a ReLU, or `"instance"` after a leaky ReLU of 0.3 (smallNORB).
        primary_kernel: window side of the depthwise convolution; None: the whole feature map, which gives one
            position of primary capsules.
        primary_stride: of the depthwise convolution.
        num_types: types of primary capsule at each position; with `child_dim` they make up the 128 channels.
        child_dim: dimension of a primary capsule.
        parent_dim: dimension of a class capsule.
        routing: name of the routing.
        iterations: routing iterations, if the routing has any; None: its default.
        routing_options: options of the routing, by its argument names.
        decoder: reconstruct the image: fully connected, or `"upsampling"` (smallNORB).

    Shapes:
        images `b c h w`, in [0, 1]; see `CapsNetOutput`.

    Raises:
        UserError: an image too small for the convolutions, sizes that do not fit together, or an unknown option.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
        *,
        kernel_sizes: Sequence[int] = (5, 3, 3, 3),
        strides: Sequence[int] = (1, 1, 1, 2),
        norm: Literal["batch", "instance"] = "batch",
        primary_kernel: int | None = None,
        primary_stride: int = 1,
        num_types: int = 16,
        child_dim: int = 8,
        parent_dim: int = 16,
        routing: str = "self-attention",
        iterations: int | None = None,
        routing_options: Mapping[str, object] | None = None,
        decoder: bool | Literal["upsampling"] = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(image_shape, num_classes, pose_dim=parent_dim)
        check_arguments(kernel_sizes=tuple(kernel_sizes), strides=tuple(strides), parent_dim=parent_dim)
        check_arguments(primary_kernel=primary_kernel, primary_stride=primary_stride)
        check_arguments(num_types=num_types, child_dim=child_dim)
        _check(kernel_sizes, strides, norm, primary_kernel, primary_stride, num_types, child_dim)
        windows = list(zip(kernel_sizes, strides, strict=True))
        if primary_kernel is not None:
            windows.append((primary_kernel, primary_stride))
        elif norm == "instance":
            # a single pixel has no variance
            conv_grid(self.input_shape[1:], [*windows, (2, 1)])
        grid = conv_grid(self.input_shape[1:], windows)
        self.child_dim = child_dim
        self.stem = _stem(self.input_shape[0], kernel_sizes, strides, norm, device, dtype)
        side, channels = primary_kernel or grid, _CHANNELS[-1]
        self.primary = Conv2d(channels, channels, side, primary_stride, groups=channels, device=device, dtype=dtype)
        places = 1 if primary_kernel is None else grid[0] * grid[1]
        if primary_kernel is None:
            whole = max(self.input_shape[1:])
            self.grid = Grid(1, 1, float(whole), whole / 2, whole)
        self.class_capsules = DenseCapsules(
            places * num_types,
            num_classes,
            child_dim=child_dim,
            parent_dim=parent_dim,
            routing=routing,
            routing_options=resolve_routing(routing, routing_options, iterations=iterations),
            device=device,
            dtype=dtype,
        )
        check_activates(self.class_capsules.routing, routing)
        if decoder:
            build = UpsamplingDecoder if decoder == "upsampling" else Decoder
            self.decoder = build(num_classes, parent_dim, self.input_shape, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As the authors' code: He normal stem and transformations, Glorot's primary, norms uniform within 0.05."""
        for layer in self.stem:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.InstanceNorm2d):
                for parameter in layer.parameters():
                    nn.init.uniform_(parameter, -0.05, 0.05)
        nn.init.xavier_uniform_(self.primary.weight)
        assert self.primary.bias is not None
        nn.init.zeros_(self.primary.bias)
        # their layout counts the parents as inputs too
        children, child_dim, parents, _ = self.class_capsules.weight.shape
        nn.init.normal_(self.class_capsules.weight, std=sqrt(2 / (parents * children * child_dim)))

    def forward(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
        """Compute the class capsules of images."""
        self.check_images(images)
        maps = self.primary(self.stem(images))
        with without_autocast(maps.device):
            maps = maps.to(self.primary.weight.dtype).permute(0, 2, 3, 1)
            poses = exponential_squash(maps.unflatten(3, (-1, self.child_dim)).flatten(1, 3))
            classes = self.class_capsules(Capsules(poses, poses.norm(dim=-1), (maps.shape[1], maps.shape[2])))
        return CapsNetOutput(Capsules(classes.poses, classes.activations), classes.activations, classes.coupling)


def _check(
    kernel_sizes: Sequence[int],
    strides: Sequence[int],
    norm: str,
    primary_kernel: int | None,
    primary_stride: int,
    num_types: int,
    child_dim: int,
) -> None:
    """Check that sizes are consistent."""
    if len(kernel_sizes) != 4 or len(strides) != 4:
        raise UserError(
            f"kernel_sizes and strides must be four numbers each, got {tuple(kernel_sizes)} and {tuple(strides)}"
        )
    if primary_kernel is None and primary_stride != 1:
        raise UserError(f"primary_stride needs a primary_kernel, got {primary_stride} without one")
    if norm not in ("batch", "instance"):
        raise UserError(f"norm must be 'batch' or 'instance', got {norm!r}")
    if num_types * child_dim != _CHANNELS[-1]:
        raise UserError(f"num_types times child_dim must be {_CHANNELS[-1]}, got {num_types} times {child_dim}")


def _stem(
    channels: int,
    kernel_sizes: Sequence[int],
    strides: Sequence[int],
    norm: str,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> nn.Sequential:
    """Convolution, non-linearity and, after it, normalisation, four times."""
    layers: list[nn.Module] = []
    for width, side, step in zip(_CHANNELS, kernel_sizes, strides, strict=True):
        layers.append(Conv2d(channels, width, side, step, device=device, dtype=dtype))
        if norm == "batch":
            layers += [nn.ReLU(), nn.BatchNorm2d(width, eps=1e-3, momentum=0.01, device=device, dtype=dtype)]
        else:
            instance = nn.InstanceNorm2d(width, eps=1e-3, affine=True, device=device, dtype=dtype)
            layers += [nn.LeakyReLU(0.3), instance]
        channels = width
    return nn.Sequential(*layers)


MODELS.add(
    "efficient-capsnet",
    Preset(
        EfficientCapsNet,
        {},
        "Mazzia et al. 2021, MNIST: self-attention routing, 161,824 parameters and 1,411,344 in a decoder",
    ),
)
MODELS.add(
    "efficient-capsnet-smallnorb",
    Preset(
        EfficientCapsNet,
        {
            "image_shape": (2, 48, 48),
            "num_classes": 5,
            "kernel_sizes": (7, 3, 3, 3),
            "strides": (2, 1, 1, 2),
            "norm": "instance",
            "decoder": "upsampling",
        },
        "Mazzia et al. 2021, smallNORB: 151,664 parameters and an upsampling decoder",
    ),
)
MODELS.add(
    "efficient-capsnet-multimnist",
    Preset(
        EfficientCapsNet,
        {"image_shape": (1, 36, 36), "strides": (1, 1, 2, 2), "primary_kernel": 5, "primary_stride": 2},
        "Mazzia et al. 2021, MultiMNIST: 154,656 parameters and a decoder",
    ),
)

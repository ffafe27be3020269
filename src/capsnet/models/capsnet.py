"""CapsNet. Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Figs. 1 and 2."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from capsnet.capsules import CapsNetOutput, Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.layers import ConvReLU, Decoder, DenseCapsules, PrimaryCapsules
from capsnet.models.arguments import check_activates, check_arguments, resolve_routing
from capsnet.models.factory import MODELS, Preset
from capsnet.models.grid import Grid
from capsnet.models.model import CapsuleModel
from capsnet.renamed import renamed


@renamed(primary_types="num_types", primary_dim="child_dim", class_dim="parent_dim")
class CapsNet(CapsuleModel):
    """Convolution, primary capsules, one capsule for each class, decoder.

    With the default arguments it is the network of the paper's text for MNIST: 1,152 primary capsules, 6,804,224
    parameters, 8,215,568 with the decoder. The authors' released code differs from the text in `primary_scale`,
    `routing_bias` and `initialisation`; the preset `capsnet-authors` sets all three.

    Args:
        image_shape: channels, height and width.
        num_classes: number of class capsules.
        stem_channels: channels of the first convolution.
        num_types: types of primary capsule at each position.
        child_dim: dimension of a primary capsule.
        parent_dim: dimension of a class capsule.
        kernel_size: window side of both convolutions.
        padding: of both convolutions, `"valid"` or `"same"`: zeros around, so that the first keeps the image's size and
            the second halves it, rounded up (the authors' code for CIFAR-10; odd ones go below and right).
        routing: name of the routing.
        iterations: routing iterations; None: the routing's default (dynamic: 3).
        routing_bias: learn a bias in the routing's sum (authors' code).
        leaky: allow a primary capsule to be routed to no class.
        gradient: through `"full"` routing, or the `"last"` iteration only.
        routing_options: options of the routing, by its argument names. `iterations`, `routing_bias`, `leaky` and
            `gradient` may be given either way.
        primary_scale: factor before the primary squash (1/32 in the authors' code).
        initialisation: `"glorot"`, or `"authors"`: truncated normal, 0.05 in the first convolution and 0.1 after it,
            every bias 0.1. The paper states none.
        decoder: reconstruct the image.
        decoder_hidden: sizes of the decoder's hidden layers.

    Shapes:
        images `b c h w`, in [0, 1]; see `CapsNetOutput`.

    Raises:
        UserError: an image too small for the two convolutions, a size below 1, an unknown option, an option that the
            routing does not have or that is given twice, or a routing without activations.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
        *,
        stem_channels: int = 256,
        num_types: int = 32,
        child_dim: int = 8,
        parent_dim: int = 16,
        kernel_size: int = 9,
        padding: Literal["valid", "same"] = "valid",
        routing: str = "dynamic",
        iterations: int | None = None,
        routing_bias: bool | None = None,
        leaky: bool | None = None,
        gradient: Literal["full", "last"] | None = None,
        routing_options: Mapping[str, object] | None = None,
        primary_scale: float = 1.0,
        initialisation: Literal["glorot", "authors"] = "glorot",
        decoder: bool = True,
        decoder_hidden: Sequence[int] = (512, 1024),
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(image_shape, num_classes, pose_dim=parent_dim)
        check_arguments(stem_channels=stem_channels, num_types=num_types, child_dim=child_dim, parent_dim=parent_dim)
        check_arguments(kernel_size=kernel_size, primary_scale=primary_scale, decoder_hidden=tuple(decoder_hidden))
        _check(initialisation, padding)
        channels, height, width = image_shape
        self.margins = _margins(height, width, kernel_size) if padding == "same" else ((0, 0, 0, 0), (0, 0, 0, 0))
        rows, columns = _primary_grid(height, width, kernel_size, padding)
        self.stem = ConvReLU(channels, stem_channels, kernel_size, device=device, dtype=dtype)
        primary = partial(PrimaryCapsules, kernel_size=kernel_size, scale=primary_scale, device=device, dtype=dtype)
        self.primary_capsules = primary(stem_channels, num_types, pose_dim=child_dim)
        self.grid = Grid(rows, columns, *_windows(kernel_size, self.margins))
        given = {"iterations": iterations, "routing_bias": routing_bias, "leaky": leaky, "gradient": gradient}
        self.class_capsules = DenseCapsules(
            rows * columns * num_types,
            num_classes,
            child_dim=child_dim,
            parent_dim=parent_dim,
            routing=routing,
            routing_options=resolve_routing(routing, routing_options, **given),
            device=device,
            dtype=dtype,
        )
        check_activates(self.class_capsules.routing, routing)
        if decoder:
            build = partial(Decoder, hidden=decoder_hidden, device=device, dtype=dtype)
            self.decoder = build(num_classes, parent_dim, self.input_shape)
        self.initialisation = initialisation
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first convolution anew, and with `initialisation="authors"` all parameters.

        The other parts draw theirs when they are created, and by their own `reset_parameters`.
        """
        nn.init.kaiming_normal_(self.stem.weight, nonlinearity="relu")
        assert self.stem.bias is not None
        nn.init.zeros_(self.stem.bias)
        if self.initialisation == "authors":
            for name, parameter in self.named_parameters():
                if name.endswith("bias"):
                    nn.init.constant_(parameter, 0.1)
                else:
                    std = 0.05 if name == "stem.weight" else 0.1
                    nn.init.trunc_normal_(parameter, std=std, a=-2 * std, b=2 * std)

    def forward(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
        """Compute the class capsules of images."""
        self.check_images(images)
        around_stem, around_primary = self.margins
        features = self.stem(_pad(images, around_stem))
        primary: Capsules = self.primary_capsules(_pad(features, around_primary))
        classes: RoutingOutput = self.class_capsules(primary)
        return CapsNetOutput(Capsules(classes.poses, classes.activations), classes.activations, classes.coupling)


def _check(initialisation: str, padding: str) -> None:
    if padding not in ("valid", "same"):
        raise UserError(f"padding must be 'valid' or 'same', got {padding!r}")
    if initialisation not in ("glorot", "authors"):
        raise UserError(f"initialisation must be 'glorot' or 'authors', got {initialisation!r}")


def _margins(height: int, width: int, kernel_size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Padding (left, right, top, bottom) of the image and of the first feature maps."""
    total = kernel_size - 1
    around_stem = (total // 2, total - total // 2) * 2
    around_primary: list[int] = []
    for side in (width, height):
        short = max((-(-side // 2) - 1) * 2 + kernel_size - side, 0)
        around_primary += [short // 2, short - short // 2]
    return around_stem, tuple(around_primary)


def _windows(kernel_size: int, margins: Sequence[Sequence[int]]) -> tuple[float, float, int]:
    """Pixels between two windows of primary capsules, the centre of the first, and the side of a window."""
    window = 2 * kernel_size - 1
    # zeros around image and feature maps let the first window begin outside
    return 2.0, window / 2 - sum(margin[0] for margin in margins), window


def _pad(maps: Tensor, margin: tuple[int, ...]) -> Tensor:
    """Zeros around maps; torch copies them even where there is nothing to add."""
    return functional.pad(maps, margin) if any(margin) else maps


def _primary_grid(height: int, width: int, kernel_size: int, padding: str) -> tuple[int, int]:
    """Rows and columns of primary capsules: a window at stride 1, then one at stride 2."""
    if padding == "same":
        return -(-height // 2), -(-width // 2)
    smallest = 2 * kernel_size - 1
    if min(height, width) < smallest:
        raise UserError(
            f"images must be at least {smallest}x{smallest} for two {kernel_size}x{kernel_size} convolutions, "
            f"got {height}x{width}; use larger images or a smaller kernel_size"
        )
    rows, columns = ((side - smallest) // 2 + 1 for side in (height, width))
    return rows, columns


MODELS.add("capsnet", Preset(CapsNet, {}, "Sabour et al. 2017, the paper's text: 8,215,568 parameters"))
MODELS.add(
    "capsnet-authors",
    Preset(
        CapsNet,
        {"primary_scale": 1 / 32, "routing_bias": True, "initialisation": "authors"},
        "Sabour et al. 2017, the authors' released code: 1/32 before the primary squash, routing bias, their "
        "initialisation",
    ),
)
MODELS.add(
    "capsnet-tiny",
    Preset(
        CapsNet,
        {"stem_channels": 16, "num_types": 4, "decoder_hidden": (64, 128)},
        "the same network with few channels: for tests and first tries",
    ),
)

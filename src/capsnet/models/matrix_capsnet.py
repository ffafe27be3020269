"""Matrix capsules. Hinton, Sabour, Frosst, "Matrix capsules with EM routing", ICLR 2018, Fig. 1 and the authors' code.

The network of Ribeiro, Leontidis, Kollias, "Capsule Routing via Variational Bayes", AAAI 2020, is this one with batch
normalisation and their routing.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from math import sqrt
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.layers import Conv2d, ConvCapsules, Decoder, PosePrimaryCapsules
from capsnet.losses import LOSSES
from capsnet.models.arguments import check_activates, check_arguments, check_pose_shape, resolve_routing
from capsnet.models.factory import MODELS, Preset
from capsnet.models.model import CapsuleModel, conv_grid, truncated_normal
from capsnet.renamed import renamed

# side and stride of the windows between the image and the class capsules
_WINDOWS = ((5, 2), (1, 1), (3, 2), (3, 1))
# initial β and λ of the authors' code
_AUTHORS_CONV = {"beta_use": 0.5, "beta_activate": 0.5, "inverse_temperature": 0.01}
_AUTHORS_CLASS = {"beta_use": 2.0, "beta_activate": 1.0, "inverse_temperature": 0.0025, "mass": 1e-5}


@renamed(pose_side="pose_shape")
class MatrixCapsNet(CapsuleModel):
    """A convolution, primary capsules, two convolutional capsule layers, class capsules; 4x4 matrices as poses.

    316,650 parameters for 32x32 smallNORB with the paper's sizes.

    Args:
        image_shape: channels, height and width.
        num_classes: number of class capsules.
        sizes: A, B, C and D: channels of the convolution, types of primary capsule and of the two capsule layers.
        pose_shape: rows and columns of a pose matrix, or the side of a square one.
        routing: name of the routing.
        iterations: of routing; None: the routing's default (EM: 3).
        routing_options: options of the routing, by its argument names.
        em_form: of EM routing: `"authors"` (its default here), the constants and the start of β of the authors' code,
            or `"paper"`, whose text leaves them open (`em_routing`): with so small a λ, β_a hardly learns.
        norm: batch normalisation of the convolution and of the primary capsules (Ribeiro et al. 2020).
        coordinates: coordinate addition in the class layer, to two entries of each vote: `"centre"`: the centre of the
            position's receptive field, in pixels / 100, to the first two; `"index"`: (k + 1) / (10 F) for row and
            column k of F, to the last entries of the first two rows (Ribeiro et al. 2020); or `"none"`.
        initialisation: `"scaled"`: the layers' default; `"authors"`: truncated normals with standard deviations 0.05,
            0.5 (poses), 3 (activations), 0.3, 0.3 and 0.01, as in the code of Hinton et al.; or `"glorot"`: uniform, as
            in the code of Ribeiro et al., who count all 16 numbers of a pose. The papers state none.
        loss: name of the training loss.
        decoder: reconstruct the image; the papers do not.

    Shapes:
        images `b c h w`; see `CapsNetOutput`: lengths are the activations.

    Raises:
        UserError: an image smaller than 17x17, sizes below 1, an unknown option, or an option that the routing does not
            have or that is given twice.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (2, 32, 32),
        num_classes: int = 5,
        *,
        sizes: Sequence[int] = (32, 32, 32, 32),
        pose_shape: int | tuple[int, int] = 4,
        routing: str = "em",
        iterations: int | None = None,
        routing_options: Mapping[str, object] | None = None,
        em_form: Literal["authors", "paper"] | None = None,
        norm: bool = False,
        coordinates: Literal["centre", "index", "none"] = "centre",
        initialisation: Literal["scaled", "authors", "glorot"] = "scaled",
        loss: str = "spread",
        decoder: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        shape = check_pose_shape(pose_shape)
        dim = shape[0] * shape[1]
        super().__init__(image_shape, num_classes, pose_dim=dim)
        check_arguments(sizes=tuple(sizes))
        _check(sizes, coordinates, initialisation)
        self.loss, self.initialisation = LOSSES.resolve(loss), initialisation
        grid = conv_grid(self.input_shape[1:], _WINDOWS)
        channels, *types = sizes
        given = resolve_routing(routing, routing_options, iterations=iterations, em_form=em_form)
        below, top = (_layer_options(routing, given, top) for top in (False, True))
        self.stem = Conv2d(self.input_shape[0], channels, 5, 2, bias=not norm, device=device, dtype=dtype)
        self.stem_norm = nn.BatchNorm2d(channels, device=device, dtype=dtype) if norm else None
        primary = partial(PosePrimaryCapsules, pose_dim=dim, device=device, dtype=dtype)
        self.primary_capsules = (
            primary(channels, types[0], norm="type") if norm else primary(channels, types[0], offset=-1.0)
        )
        layer = partial(ConvCapsules, child_dim=dim, parent_dim=dim, pose_shape=shape, device=device, dtype=dtype)
        layer = partial(layer, routing=routing)
        first = layer(types[0], types[1], kernel_size=3, stride=2, routing_options=below)
        second = layer(types[1], types[2], kernel_size=3, routing_options=below)
        self.conv_capsules = nn.ModuleList([first, second])
        self.class_capsules = layer(
            types[2],
            num_classes,
            grid=grid,
            kernel_size=None,
            shared=True,
            coordinates=_coordinates(coordinates, grid),
            coordinate_entries=(shape[1] - 1, 2 * shape[1] - 1) if coordinates == "index" else (0, 1),
            routing_options=top,
        )
        check_activates(self.class_capsules.routing, routing)
        if decoder:
            self.decoder = Decoder(num_classes, dim, self.input_shape, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first convolution anew, and the transformations unless `initialisation="scaled"`, the layers' own.

        The other parts draw theirs when they are created, and by their own `reset_parameters`.
        """
        nn.init.kaiming_normal_(self.stem.weight, nonlinearity="relu")
        if self.stem.bias is not None:
            nn.init.zeros_(self.stem.bias)
        if self.initialisation == "authors":
            self._draw_as_hinton()
        elif self.initialisation == "glorot":
            for layer in (*self.conv_capsules, self.class_capsules):
                assert isinstance(layer, ConvCapsules)
                # their class layer has a window of one position
                places = 1 if layer.shared else layer.kernel_size[0] * layer.kernel_size[1]
                fans = places * layer.child_dim * (layer.num_child_types + layer.num_parent_types)
                nn.init.uniform_(layer.weight, -sqrt(6 / fans), sqrt(6 / fans))

    def _draw_as_hinton(self) -> None:
        first, second = self.conv_capsules
        scores = self.primary_capsules.activations
        assert scores is not None
        for module, std in (
            (self.stem, 0.05),
            (self.primary_capsules.poses, 0.5),
            (scores, 3.0),
            (first, 0.3),
            (second, 0.3),
            (self.class_capsules, 0.01),
        ):
            assert isinstance(module.weight, Tensor)
            truncated_normal(module.weight, std)

    def forward(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
        """Compute the class capsules of images."""
        self.check_images(images)
        features = self.stem(images)
        if self.stem_norm is not None:
            features = self.stem_norm(features)
        capsules: Capsules | RoutingOutput = self.primary_capsules(features.relu())
        for layer in self.conv_capsules:
            capsules = layer(capsules)
        classes = self.class_capsules(capsules)
        return CapsNetOutput(Capsules(classes.poses, classes.activations), classes.activations, classes.coupling)


def _layer_options(routing: str, given: Mapping[str, object], top: bool) -> dict[str, object]:
    """The options of the routing of a layer, the class layer or one below it; the user's options take precedence."""
    options = {"form": "authors", **given} if routing == "em" else dict(given)
    if options.get("form") == "authors":
        return {**(_AUTHORS_CLASS if top else _AUTHORS_CONV), **options}
    return options


def _coordinates(kind: str, grid: tuple[int, int]) -> Float[Tensor, "h w 2"] | None:
    if kind == "none":
        return None
    if kind == "index":
        rows, columns = ((torch.arange(side) + 1) / (10 * side) for side in grid)
    else:
        # the middle of the first window, and how far the next one is: each window adds its half in steps so far
        middle, step = 0.0, 1
        for side, stride in _WINDOWS:
            middle, step = middle + (side - 1) / 2 * step, step * stride
        rows, columns = ((middle + step * torch.arange(side)) / 100 for side in grid)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=2)


def _check(sizes: Sequence[int], coordinates: str, initialisation: str) -> None:
    if len(sizes) != 4:
        raise UserError(f"sizes must be four numbers, got {tuple(sizes)}")
    if coordinates not in ("centre", "index", "none"):
        raise UserError(f"coordinates must be 'centre', 'index' or 'none', got {coordinates!r}")
    if initialisation not in ("scaled", "authors", "glorot"):
        raise UserError(f"initialisation must be 'scaled', 'authors' or 'glorot', got {initialisation!r}")


MODELS.add(
    "em-capsnet",
    Preset(
        MatrixCapsNet, {"initialisation": "authors"}, "Hinton et al. 2018: EM routing, 316,650 parameters for smallNORB"
    ),
)
MODELS.add(
    "em-capsnet-small",
    Preset(
        MatrixCapsNet,
        {"sizes": (64, 8, 16, 16), "initialisation": "authors"},
        "Hinton et al. 2018, the small one: 68,618 parameters",
    ),
)
# batch normalisation everywhere, and Gaussians wider than the first votes, whose variance is below 0.1
_NORMALISED = {"norm": True, "coordinates": "index", "initialisation": "glorot"}
MODELS.add(
    "em-capsnet-tiny",
    Preset(
        MatrixCapsNet,
        {
            "sizes": (32, 8, 8, 8),
            "em_form": "paper",
            "routing_options": {"batch_norm": True, "variance": 0.3},
            **_NORMALISED,
        },
        "a small network with EM routing that learns quickly: batch normalisation, and wide Gaussians",
    ),
)
_VARIATIONAL = {**_NORMALISED, "routing": "variational-bayes", "loss": "length-cross-entropy"}
MODELS.add(
    "vb-capsnet-tiny",
    Preset(
        MatrixCapsNet,
        {"sizes": (32, 8, 8, 8), **_VARIATIONAL},
        "the same with fewer capsules, for a CPU",
    ),
)
MODELS.add(
    "vb-capsnet",
    Preset(
        MatrixCapsNet,
        {"sizes": (64, 8, 16, 16), **_VARIATIONAL},
        "Ribeiro et al. 2020: variational Bayes routing, 68,714 parameters for smallNORB",
    ),
)

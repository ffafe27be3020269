"""The data types passed between layers, and the names of axes.

Axes, everywhere in this package: `b` batch, `i` child capsule, `j` parent capsule, `c` child pose dimension,
`d` parent pose dimension, `h w` space, `k` window side, `n` class.
"""

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from capsnet.errors import UserError


class Capsules(NamedTuple):
    """A layer's capsules: each has a pose (its properties) and an activation (whether it is present).

    `grid` is the number of rows and columns of capsules on a spatial grid, in the order row, column, type; None: no
    grid. `mask` is False for padding, where samples have different numbers of capsules; None: no padding.

    Shapes:
        poses: `b i c`; activations: `b i`, in [0, 1]; mask: `b i`.
    """

    poses: Float[Tensor, "b i c"]
    activations: Float[Tensor, "b i"]
    grid: tuple[int, int] | None = None
    mask: Bool[Tensor, "b i"] | None = None


class RoutingOutput(NamedTuple):
    """A routing's output: parents, and the coupling of each child to each of them.

    A capsule layer returns it and the next layer accepts it like `Capsules`. `coupling` is None if an implementation
    does not store it; `grid` and `mask`, of the parents, are as in `Capsules`.

    Shapes:
        poses: `b j d`; activations: `b j`; coupling: `b i j`; mask: `b j`.
    """

    poses: Float[Tensor, "b j d"]
    activations: Float[Tensor, "b j"]
    coupling: Float[Tensor, "b i j"] | None
    grid: tuple[int, int] | None = None
    mask: Bool[Tensor, "b j"] | None = None


class CapsNetOutput(NamedTuple):
    """A model's output for a batch of images.

    Shapes:
        capsules: class capsules, `b n d` and `b n`; lengths: `b n`; coupling of the last layer: `b i n` or None.
    """

    capsules: Capsules
    lengths: Float[Tensor, "b n"]
    coupling: Float[Tensor, "b i n"] | None


def check_capsules(children: object) -> None:
    """Check that a layer received capsules.

    Raises:
        UserError: it received a tensor.
    """
    if isinstance(children, Tensor):
        raise UserError(
            f"children must be Capsules, got a tensor {tuple(children.shape)}; of poses make them: "
            "Capsules(poses, poses.norm(dim=-1))"
        )

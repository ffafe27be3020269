"""What flows between layers, and the alphabet of axes.

Axes, everywhere in this package: `b` batch, `i` child capsule, `j` parent capsule, `c` child pose dimension,
`d` parent pose dimension, `h w` space, `k` window side, `n` class.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Capsules(NamedTuple):
    """A layer's capsules: each has a pose (what it is like) and an activation (whether it is there).

    `grid` holds the rows and columns of places, for capsules that lie on a grid in the order row, column, type; None:
    they do not. Layers set it and read it.

    Shapes:
        poses: `b i c`; activations: `b i`, in [0, 1].
    """

    poses: Float[Tensor, "b i c"]
    activations: Float[Tensor, "b i"]
    grid: tuple[int, int] | None = None


class RoutingOutput(NamedTuple):
    """Parents found by a routing, and how much of each child went to each of them.

    A capsule layer returns it and the next layer takes it in the place of `Capsules`. `coupling` is None where an
    implementation never stores it; `grid` is that of `Capsules`.

    Shapes:
        poses: `b j d`; activations: `b j`; coupling: `b i j`.
    """

    poses: Float[Tensor, "b j d"]
    activations: Float[Tensor, "b j"]
    coupling: Float[Tensor, "b i j"] | None
    grid: tuple[int, int] | None = None


class CapsNetOutput(NamedTuple):
    """What a model says of a batch of images.

    Shapes:
        capsules: class capsules, `b n d` and `b n`; lengths: `b n`; coupling of the last layer: `b i n` or None.
    """

    capsules: Capsules
    lengths: Float[Tensor, "b n"]
    coupling: Float[Tensor, "b i n"] | None

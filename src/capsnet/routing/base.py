"""What every routing is: a module that turns votes into parents."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import Capsules, RoutingOutput
from capsnet.functional import dense_votes
from capsnet.registry import Registry


class Routing(nn.Module, ABC):
    """Base of all routings: subclasses give `forward`, and hold the parameters that the algorithm itself learns.

    Args:
        num_children: number of children `i`.
        num_parents: number of parents `j`.
        parent_dim: dimension `d` of a parent's pose.

    Attributes:
        coupling_axis: the axis over which the coupling sums to one, `"j"` (parents) unless a routing differs.
        orders_children: True where the result depends on the order of children.
    """

    coupling_axis: ClassVar[str | None] = "j"
    orders_children: ClassVar[bool] = False

    def __init__(self, num_children: int, num_parents: int, *, parent_dim: int) -> None:
        super().__init__()
        self.num_children, self.num_parents, self.parent_dim = num_children, num_parents, parent_dim

    @abstractmethod
    def forward(
        self, votes: Float[Tensor, "b i j d"], activations: Float[Tensor, "b i"] | None = None
    ) -> RoutingOutput:
        """Turn the children's votes and activations into parents."""

    def route_children(self, children: Capsules, weight: Float[Tensor, "i c j d"]) -> RoutingOutput:
        """Do `forward` on the votes of `children`; a fused implementation that never builds them may stand in."""
        return self(dense_votes(children.poses, weight), children.activations)  # type: ignore[no-any-return]


def find_fused(name: str, *arguments: object, **options: object) -> Callable[..., RoutingOutput] | None:
    """The kernel of a plain function for this call, or None; `kernels/` may be deleted whole."""
    try:
        from capsnet.kernels import fused
    except ModuleNotFoundError:
        return None
    return fused(name, *arguments, **options)


ROUTINGS: Registry[Callable[..., Routing]] = Registry("routing")

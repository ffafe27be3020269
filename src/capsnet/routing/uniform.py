"""No routing: every parent gets the same share of every child. The control of Paik, Kwak, Kim, "Capsule networks need
an improved routing algorithm", ACML 2019.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.capsules import RoutingOutput
from capsnet.functional import Windows, squash
from capsnet.routing.base import ROUTINGS, Routing


def uniform_routing(votes: Float[Tensor, "b i j d"]) -> RoutingOutput:
    r"""Squash the mean share of the votes: $v_j = \mathrm{squash}(\sum_i \hat u_{j|i} / J)$ for J parents.

    This is dynamic routing with one iteration. A useful routing must beat it at equal budget.

    Args:
        votes: each child's predicted pose for each parent.

    Shapes:
        votes `b i j d`; poses `b j d`, activations `b j` (the lengths), coupling `b i j`.

    Example:
        >>> uniform_routing(torch.randn(2, 1152, 10, 16)).poses.shape
        torch.Size([2, 10, 16])
    """
    share = 1 / votes.shape[2]
    poses = squash(votes.sum(dim=1) * share)
    coupling = votes.new_full(votes.shape[:3], share)
    return RoutingOutput(poses=poses, activations=poses.norm(dim=-1), coupling=coupling)


@ROUTINGS.add("uniform")
class UniformRouting(Routing):
    """No routing (the control): uniform coupling.

    `uniform_routing` as a module; it learns nothing.

    Args:
        num_children: number of children.
        num_parents: number of parents.
        parent_dim: dimension of a parent's pose.
    """

    def __init__(
        self,
        num_children: int | None,
        num_parents: int,
        *,
        parent_dim: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_children, num_parents, parent_dim=parent_dim)

    def forward(
        self,
        votes: Float[Tensor, "b i j d"],
        activations: Float[Tensor, "b i"] | None = None,
        *,
        poses: Float[Tensor, "b i c"] | None = None,
        windows: Windows | None = None,
    ) -> RoutingOutput:
        """Sum votes; the children's activations are not used; the votes carry their lengths."""
        return uniform_routing(votes)

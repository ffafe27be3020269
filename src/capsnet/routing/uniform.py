"""No routing: every parent gets the same share of every child. The control of Paik, Kwak, Kim, "Capsule networks need
an improved routing algorithm", ACML 2019.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from capsnet.capsules import RoutingOutput
from capsnet.functional import Windows, squash
from capsnet.routing.base import ROUTINGS, Routing
from capsnet.routing.parents import clear_missing, even_coupling


def uniform_routing(
    votes: Float[Tensor, "b i j d"], *, parent_mask: Bool[Tensor, "b j"] | None = None
) -> RoutingOutput:
    r"""Squash the mean share of the votes: $v_j = \mathrm{squash}(\sum_i \hat u_{j|i} / J)$ for J parents.

    This is dynamic routing with one iteration. A useful routing must beat it at equal budget.

    Args:
        votes: each child's predicted pose for each parent.
        parent_mask: True for the parents that a sample has, J of them; None: all. The others get zeros.

    Shapes:
        votes `b i j d`, parent_mask `b j`; poses `b j d`, activations `b j` (the lengths), coupling `b i j`.

    Example:
        >>> uniform_routing(torch.randn(2, 1152, 10, 16)).poses.shape
        torch.Size([2, 10, 16])
    """
    coupling = even_coupling(votes, parent_mask)
    if parent_mask is None:
        poses = squash(votes.sum(dim=1) * (1 / votes.shape[2]))
    else:
        poses = squash(torch.einsum("bij,bijd->bjd", coupling, votes))
    return clear_missing(RoutingOutput(poses, poses.norm(dim=-1), coupling), parent_mask)


@ROUTINGS.add("uniform")
class UniformRouting(Routing):
    """No routing (the control): uniform coupling.

    `uniform_routing` as a module; it learns nothing.

    Args:
        num_children: number of children.
        num_parents: number of parents.
        parent_dim: dimension of a parent's pose.
    """

    limits_parents = True

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
        parent_mask: Bool[Tensor, "b j"] | None = None,
    ) -> RoutingOutput:
        """Sum votes; the children's activations are not used; the votes carry their lengths."""
        return uniform_routing(votes, parent_mask=parent_mask)

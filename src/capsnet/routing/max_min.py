"""Max-min routing: dynamic routing with a different normalisation of its logits.

Zhao, Kleinhans, Sandhu, Patel, Unnikrishnan, "Capsule Networks with Max-Min Normalization", 2019.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from capsnet.bounds import check_iterations, check_numbers
from capsnet.capsules import RoutingOutput
from capsnet.functional import Windows, squash
from capsnet.routing.base import BOUNDS, ROUTINGS, Routing
from capsnet.routing.parents import clear_missing, mask_logits


def max_min_routing(
    votes: Float[Tensor, "b i j d"], iterations: int = 3, *, parent_mask: Bool[Tensor, "b j"] | None = None
) -> RoutingOutput:
    r"""Route each child to the parents that agree with its vote: coupling is 1 for the best and 0 for the worst.

    Dynamic routing in which each child's logits are scaled to the range from 0 to 1, in place of the softmax:

    $$c_{ij} = \frac{b_{ij} - \min_k b_{ik}}{\max_k b_{ik} - \min_k b_{ik}}$$

    The coupling of a child is no distribution: several parents may get nearly all of it. Equal logits, those of the
    first iteration among them, give every parent 1.

    Args:
        votes: each child's predicted pose for each parent.
        iterations: of routing; with 1, votes are summed.
        parent_mask: True for the parents that a sample has; minimum and maximum are over them, the others get zeros.
            None: all.

    Shapes:
        votes `b i j d`, parent_mask `b j`; poses `b j d`, activations `b j` (the lengths), coupling `b i j`.

    Raises:
        UserError: fewer than one iteration.

    Differs from the paper:
        1 is added above and below the line where all logits of a child are equal, for 0/0.

    Example:
        >>> max_min_routing(torch.randn(2, 1152, 10, 16)).poses.shape
        torch.Size([2, 10, 16])
    """
    check_iterations(iterations)
    logits = votes.new_zeros(votes.shape[:3])  # b i j
    for step in range(iterations):
        coupling = _coupling(logits, parent_mask)
        poses = squash(torch.einsum("bij,bijd->bjd", coupling, votes))
        if step < iterations - 1:
            logits = logits + torch.einsum("bijd,bjd->bij", votes, poses)
    return clear_missing(RoutingOutput(poses, poses.norm(dim=-1), coupling), parent_mask)


def _coupling(logits: Float[Tensor, "b i j"], parent_mask: Bool[Tensor, "b j"] | None) -> Float[Tensor, "b i j"]:
    if parent_mask is not None:
        # the largest logit in place of the missing ones: minimum and maximum stay
        largest = mask_logits(logits, parent_mask).amax(dim=-1, keepdim=True)
        logits = torch.where(parent_mask[:, None], logits, largest)
    lowest, highest = logits.aminmax(dim=-1, keepdim=True)
    # not a small number: the ONNX optimiser takes 1e-12 for 0
    equal = (highest == lowest).to(logits.dtype)
    return (logits - lowest + equal) / (highest - lowest + equal)


@ROUTINGS.add("max-min")
class MaxMinRouting(Routing):
    """Dynamic routing whose coupling is scaled from 0 to 1 for each child (Zhao et al. 2019).

    `max_min_routing` as a module; it learns nothing.

    Args:
        num_children: number of children.
        num_parents: number of parents.
        parent_dim: dimension of a parent's pose.
        iterations: of routing.

    Raises:
        UserError: fewer than one iteration.
    """

    coupling_axis = None
    limits_parents = True
    iterations: int

    def __init__(
        self,
        num_children: int | None,
        num_parents: int,
        *,
        parent_dim: int,
        iterations: int = 3,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_children, num_parents, parent_dim=parent_dim)
        check_numbers(BOUNDS, iterations=iterations)
        self.iterations = iterations

    def initial_gain(self) -> float:
        """The first sum is not divided by the number of parents."""
        return 1 / self.num_parents

    def forward(
        self,
        votes: Float[Tensor, "b i j d"],
        activations: Float[Tensor, "b i"] | None = None,
        *,
        poses: Float[Tensor, "b i c"] | None = None,
        windows: Windows | None = None,
        parent_mask: Bool[Tensor, "b j"] | None = None,
    ) -> RoutingOutput:
        """Route votes; the children's activations are not used; the votes carry their lengths."""
        return max_min_routing(votes, self.iterations, parent_mask=parent_mask)

    def extra_repr(self) -> str:
        return f"iterations={self.iterations}"

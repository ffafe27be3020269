"""Self-attention routing.

Mazzia, Salvetti, Chiaberge, "Efficient-CapsNet: Capsule Network with Self-Attention Routing", Scientific Reports 2021,
section "Self-attention routing".
"""

from math import sqrt

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from capsnet.capsules import RoutingOutput
from capsnet.errors import UserError
from capsnet.functional import Windows, exponential_squash
from capsnet.routing.base import ROUTINGS, Routing
from capsnet.routing.parents import clear_missing, mask_logits


def self_attention_routing(
    votes: Float[Tensor, "b i j d"],
    prior: Float[Tensor, "i j"] | None = None,
    *,
    parent_mask: Bool[Tensor, "b j"] | None = None,
) -> RoutingOutput:
    r"""Send each child's vote to the parents for which it agrees with all other votes, in one step.

    For one parent, the attention matrix of the votes is $A_j = U_j U_j^T / \sqrt d$, and a child's logit the sum of its
    row, which is one product with the sum of the votes, so that no matrix of children by children is built:

    $$c_{ij} = \mathrm{softmax}_j\Big(\hat u_{j|i} \cdot \sum_k \hat u_{j|k} / \sqrt d\Big) + p_{ij}$$

    over the **parents**; then $v_j = \mathrm{squash}(\sum_i c_{ij} \hat u_{j|i})$, with the exponential squash.

    Args:
        votes: each child's predicted pose for each parent.
        prior: p_ij, a learned log prior in the paper's words; it is added after the softmax, as in the authors' code.
        parent_mask: True for the parents that a sample has; the softmax is over them, the others get zeros. None: all.

    Shapes:
        votes `b i j d`, prior `i j`, parent_mask `b j`; poses `b j d`, activations `b j` (the lengths), coupling
        `b i j` (prior in it).

    Example:
        >>> self_attention_routing(torch.randn(2, 16, 10, 16)).poses.shape
        torch.Size([2, 10, 16])
    """
    logits = torch.einsum("bijd,bjd->bij", votes, votes.sum(dim=1)) / sqrt(votes.shape[3])
    coupling = mask_logits(logits, parent_mask).softmax(dim=-1)
    if prior is not None:
        coupling = coupling + prior
    poses = exponential_squash(torch.einsum("bij,bijd->bjd", coupling, votes))
    return clear_missing(RoutingOutput(poses, poses.norm(dim=-1), coupling), parent_mask)


@ROUTINGS.add("self-attention")
class SelfAttentionRouting(Routing):
    """Self-attention routing (Mazzia et al. 2021): one step, each vote weighted by its agreement with all others.

    `self_attention_routing` as a module; it learns the prior, which starts at zero: until it is learned the coupling
    sums to one.

    Args:
        num_children: number of children.
        num_parents: number of parents.
        parent_dim: dimension of a parent's pose.
        prior: learn a prior for each pair of child and parent.

    Raises:
        UserError: any number of children together with a prior.
    """

    limits_parents = True

    def __init__(
        self,
        num_children: int | None,
        num_parents: int,
        *,
        parent_dim: int,
        prior: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_children, num_parents, parent_dim=parent_dim)
        self.prior: nn.Parameter | None = None
        if prior:
            if num_children is None:
                raise UserError("num_children must be a number for the prior of each child, got None; give prior=False")
            self.prior = nn.Parameter(torch.zeros(num_children, num_parents, device=device, dtype=dtype))

    def initial_gain(self) -> float:
        """Logits grow with the square of the votes' length: longer ones start with a softmax that is all or nothing."""
        return 1 / sqrt(self.num_parents)

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
        return self_attention_routing(votes, self.prior, parent_mask=parent_mask)

    def extra_repr(self) -> str:
        return f"prior={self.prior is not None}"

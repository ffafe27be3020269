"""Self-routing.

Hahn, Pyeon, Kim, "Self-Routing Capsule Networks", NeurIPS 2019, section 3.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from capsnet.capsules import RoutingOutput
from capsnet.errors import UserError
from capsnet.functional import Windows, widen
from capsnet.functional.precision import leave_autocast
from capsnet.routing.base import ROUTINGS, Routing
from capsnet.routing.parents import clear_missing, mask_logits

# a least value, not a summand: the ONNX optimiser takes an added 1e-12 for 0
_EPS = 1e-12


def self_routing(
    votes: Float[Tensor, "b i j d"],
    activations: Float[Tensor, "b i"],
    logits: Float[Tensor, "b i j"] | None = None,
    *,
    parent_mask: Bool[Tensor, "b j"] | None = None,
) -> RoutingOutput:
    r"""Route each child by a gating network on its own pose, as in a mixture of experts, without agreement.

    $$c_{ij} = \mathrm{softmax}_j(W^{route}_i u_i + b_i)_j \qquad
      a_j = \frac{\sum_i c_{ij} a_i}{\sum_i a_i} \qquad
      v_j = \frac{\sum_i c_{ij} a_i \hat u_{j|i}}{\sum_i c_{ij} a_i}$$

    The activations of all parents of a sample sum to one.

    Args:
        votes: each child's predicted pose for each parent.
        activations: of the children, a_i.
        logits: routing logits of each child, computed from its pose; None: zeros, where `SelfRouting` starts, so that
            a child's coupling is the same for all parents.
        parent_mask: True for the parents that a sample has; the softmax is over them, the others get zeros. None: all.

    Shapes:
        votes `b i j d`, activations `b i`, logits `b i j`, parent_mask `b j`; poses `b j d`, activations `b j`,
        coupling `b i j`.

    Differs from the paper:
        Denominators are at least 1e-12, for samples in which no child is active.

    Example:
        >>> self_routing(torch.randn(2, 8, 10, 16), torch.rand(2, 8), torch.randn(2, 8, 10)).activations.sum(dim=1)
        tensor([1.0000, 1.0000])
    """
    logits = votes.new_zeros(votes.shape[:3]) if logits is None else logits
    coupling = mask_logits(widen(logits), parent_mask).softmax(dim=-1)
    mass = coupling * widen(activations)[..., None]  # b i j
    received = mass.sum(dim=1)  # b j
    with leave_autocast(votes.device):
        poses = torch.einsum("bij,bijd->bjd", mass, widen(votes)) / received.clamp(min=_EPS)[..., None]
    share = received / widen(activations).sum(dim=1, keepdim=True).clamp(min=_EPS)
    output = RoutingOutput(poses.to(votes.dtype), share.to(votes.dtype), coupling.to(votes.dtype))
    return clear_missing(output, parent_mask)


@ROUTINGS.add("self-routing")
class SelfRouting(Routing):
    """Self-routing (Hahn et al. 2019): each child is routed by its own pose, without agreement.

    `self_routing` as a module; it learns each child's matrix and bias for the routing logits.

    Args:
        num_children: number of children.
        num_parents: number of parents.
        child_dim: dimension of a child's pose.
        parent_dim: dimension of a parent's pose.

    Raises:
        UserError: any number of children.
    """

    limits_parents = True
    activation_word = "share"
    child_dim: int

    def __init__(
        self,
        num_children: int | None,
        num_parents: int,
        *,
        child_dim: int,
        parent_dim: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_children, num_parents, parent_dim=parent_dim)
        if num_children is None:
            raise UserError("num_children must be a number, got None: self-routing learns a matrix of each child")
        self.child_dim = child_dim
        self.weight = nn.Parameter(torch.empty(num_children, child_dim, num_parents, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(num_children, num_parents, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Zero, as in the authors' code: coupling starts uniform."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(
        self,
        votes: Float[Tensor, "b i j d"],
        activations: Float[Tensor, "b i"] | None = None,
        *,
        poses: Float[Tensor, "b i c"] | None = None,
        windows: Windows | None = None,
        parent_mask: Bool[Tensor, "b j"] | None = None,
    ) -> RoutingOutput:
        """Route votes by the children's poses; without activations every child counts the same.

        Args:
            votes: each child's predicted pose for each parent.
            activations: of the children.
            poses: of the children; without them only the biases decide.
            windows: not used: each window is routed alone.
            parent_mask: the parents that each sample has.
        """
        if activations is None:
            activations = votes.new_ones(votes.shape[:2])
        logits = self.bias.expand(len(votes), -1, -1)
        if poses is not None:
            with leave_autocast(votes.device):
                logits = logits + torch.einsum("bic,icj->bij", poses, self.weight)
        return self_routing(votes, activations, logits, parent_mask=parent_mask)

"""Inverted dot-product attention routing.

Tsai, Srivastava, Goh, Salakhutdinov, "Capsules with Inverted Dot-Product Attention Routing", ICLR 2020, Algorithm 1.
"""

from math import sqrt

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from capsnet.bounds import check_iterations, check_numbers
from capsnet.capsules import RoutingOutput
from capsnet.functional import Windows
from capsnet.routing.base import BOUNDS, ROUTINGS, Routing
from capsnet.routing.parents import clear_missing, even_coupling, mask_logits


def inverted_dot_product_routing(
    votes: Float[Tensor, "b i j d"],
    iterations: int = 2,
    *,
    parents: Float[Tensor, "b j d"] | None = None,
    gain: Float[Tensor, " d"] | None = None,
    bias: Float[Tensor, " d"] | None = None,
    parent_mask: Bool[Tensor, "b j"] | None = None,
) -> RoutingOutput:
    r"""Let parents compete for a child's vote by attention: the softmax is over parents, not over children.

    At first $p_j = \mathrm{LN}(\sum_i \hat u_{j|i} / J)$; then, for each further iteration,

    $$c_{ij} = \mathrm{softmax}_j(p_j \cdot \hat u_{j|i} / \sqrt d) \qquad
      p_j = \mathrm{LN}\Big(\sum_i c_{ij} \hat u_{j|i}\Big)$$

    with layer normalisation instead of a squash. Activations are not computed: all are 1.

    Args:
        votes: each child's predicted pose for each parent.
        iterations: including the first, uniform one; the paper's best is 2.
        parents: initial poses p_j, instead of the uniform iteration; with one iteration this is one step of the
            concurrent schedule, in which all layers are updated at once.
        gain: of the layer normalisation.
        bias: of the layer normalisation.
        parent_mask: True for the parents that a sample has, J of them, over which the softmax is; the others get zeros.
            None: all.

    Shapes:
        votes `b i j d`, parents `b j d`, gain and bias `d`, parent_mask `b j`; poses `b j d`, activations `b j`,
        coupling `b i j`.

    Raises:
        UserError: fewer than one iteration.

    Example:
        >>> inverted_dot_product_routing(torch.randn(2, 800, 10, 16)).poses.shape
        torch.Size([2, 10, 16])
    """
    check_iterations(iterations)
    dim = votes.shape[3]
    poses, coupling = parents, even_coupling(votes, parent_mask)
    for _ in range(iterations):
        if poses is not None:
            logits = torch.einsum("bjd,bijd->bij", poses, votes) / sqrt(dim)
            coupling = mask_logits(logits, parent_mask).softmax(dim=-1)
        poses = nn.functional.layer_norm(torch.einsum("bij,bijd->bjd", coupling, votes), (dim,), gain, bias)
    assert poses is not None
    return clear_missing(RoutingOutput(poses, torch.ones_like(poses[..., 0]), coupling), parent_mask)


@ROUTINGS.add("inverted-dot-product")
class InvertedDotProductRouting(Routing):
    """Inverted dot-product attention (Tsai et al. 2020): parents compete for votes; normalised poses, no activations.

    `inverted_dot_product_routing` as a module; it learns gain and bias of the layer normalisation, which all parents
    share.

    Args:
        num_children: number of children.
        num_parents: number of parents.
        parent_dim: dimension of a parent's pose.
        iterations: the first is the uniform one.

    Raises:
        UserError: fewer than one iteration.
    """

    activates = False
    limits_parents = True
    iterations: int

    def __init__(
        self,
        num_children: int | None,
        num_parents: int,
        *,
        parent_dim: int,
        iterations: int = 2,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_children, num_parents, parent_dim=parent_dim)
        check_numbers(BOUNDS, iterations=iterations)
        self.iterations = iterations
        self.norm = nn.LayerNorm(parent_dim, device=device, dtype=dtype)

    def forward(
        self,
        votes: Float[Tensor, "b i j d"],
        activations: Float[Tensor, "b i"] | None = None,
        *,
        poses: Float[Tensor, "b i c"] | None = None,
        windows: Windows | None = None,
        parent_mask: Bool[Tensor, "b j"] | None = None,
    ) -> RoutingOutput:
        """Route votes; the children's activations are not used."""
        gain, bias = self.norm.weight, self.norm.bias
        return inverted_dot_product_routing(votes, self.iterations, gain=gain, bias=bias, parent_mask=parent_mask)

    def update(self, votes: Float[Tensor, "b i j d"], parents: Float[Tensor, "b j d"]) -> RoutingOutput:
        """Do one iteration of the concurrent schedule.

        Args:
            votes: each child's predicted pose for each parent.
            parents: poses of the iteration before.
        """
        return inverted_dot_product_routing(votes, 1, parents=parents, gain=self.norm.weight, bias=self.norm.bias)

    def extra_repr(self) -> str:
        return f"iterations={self.iterations}"

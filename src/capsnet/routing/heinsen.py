"""Heinsen's routing: each child's data is used or ignored by each parent, at a learned benefit and cost.

Heinsen, "An Algorithm for Routing Vectors in Sequences", arXiv 2211.11754, 2022, Algorithm 1.
"""

from collections.abc import Callable
from math import hypot, sqrt
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from capsnet.bounds import check_iterations, check_numbers
from capsnet.capsules import RoutingOutput
from capsnet.errors import UserError
from capsnet.functional import Windows, squash, widen
from capsnet.functional.precision import leave_autocast
from capsnet.routing.base import BOUNDS, ROUTINGS, Routing
from capsnet.routing.parents import clear_missing, even_coupling, mask_logits

Normalize = Literal["squash", "layer"] | None


def heinsen_routing(
    votes: Float[Tensor, "b i j d"],
    credit: Float[Tensor, "b i"],
    use: Float[Tensor, "*b i j"],
    ignore: Float[Tensor, "*b i j"],
    similarity: Callable[[Tensor], Tensor],
    iterations: int = 2,
    *,
    normalize: Normalize = "squash",
    parent_mask: Bool[Tensor, "b j"] | None = None,
) -> RoutingOutput:
    r"""Give each child to the parents that predict it best, and add the votes by net benefit (Algorithm 1).

    The coupling $R$ is uniform at first; then, for each further iteration, parents compete to predict the child:

    $$R_{ij} = \mathrm{softmax}_j(S_{ij}(v)) \qquad
      D^{use}_{ij} = f(a_i) R_{ij} \qquad
      D^{ign}_{ij} = f(a_i) - D^{use}_{ij}$$
    $$\phi_{ij} = \beta^{use}_{ij} D^{use}_{ij} - \beta^{ign}_{ij} D^{ign}_{ij} \qquad
      v_j = \sum_i \phi_{ij} \hat u_{j|i}$$

    Args:
        votes: each child's predicted pose for each parent, the paper's V.
        credit: f(a_i), between 0 and 1.
        use: benefit of each unit of data used, beta^use.
        ignore: cost of each unit of data ignored, beta^ign.
        similarity: S(v), `b i j`, of the children and what the parents `b j d` predict of them.
        iterations: including the first, uniform one; the paper's is 2.
        normalize: `"squash"`, `"layer"` (layer normalisation) or None, of the parents in the end.
        parent_mask: True for the parents that a sample has; the softmax is over them, the others get zeros. None: all.

    Shapes:
        votes `b i j d`, credit `b i`, use and ignore `i j` or `b i j`, parent_mask `b j`; poses `b j d`, activations
        `b j` (the lengths with `"squash"`, 1 otherwise), coupling `b i j`.

    Differs from the paper:
        The parents are squashed in the end, which gives each a length in [0, 1); the paper's have mean 0 and variance
        1 (`normalize="layer"`), so that their length says nothing.

    Raises:
        UserError: fewer than one iteration, or an unknown normalisation.

    Example:
        >>> votes, credit, benefit = torch.randn(2, 8, 10, 16), torch.rand(2, 8), torch.ones(8, 10)
        >>> agreement = lambda parents: torch.einsum("bijd,bjd->bij", votes, parents)
        >>> heinsen_routing(votes, credit, benefit, benefit, agreement).poses.shape
        torch.Size([2, 10, 16])
    """
    _check(iterations, normalize)
    wide = widen(votes)
    with leave_autocast(votes.device):
        parents, coupling = maximize_net_benefit(
            lambda phi: torch.einsum("bij,bijd->bjd", phi, wide),
            credit,
            use,
            ignore,
            similarity,
            iterations,
            parent_mask=parent_mask,
        )
    activations = torch.ones_like(parents[..., 0])
    if normalize == "squash":
        parents = squash(parents)
        activations = parents.norm(dim=-1)
    elif normalize == "layer":
        parents = standardize(parents)
    output = RoutingOutput(parents.to(votes.dtype), activations.to(votes.dtype), coupling.to(votes.dtype))
    return clear_missing(output, parent_mask)


def maximize_net_benefit(
    combine: Callable[[Tensor], Tensor],
    credit: Float[Tensor, "b i"],
    use: Float[Tensor, "*b i j"],
    ignore: Float[Tensor, "*b i j"],
    similarity: Callable[[Tensor], Tensor],
    iterations: int,
    *,
    parent_mask: Bool[Tensor, "b j"] | None = None,
) -> tuple[Float[Tensor, "b j d"], Float[Tensor, "b i j"]]:
    """The iterations of `heinsen_routing`, whose votes need not exist; returns the parents and the coupling.

    Args:
        combine: the sum of the votes over children, weighted by phi: `b i j` to `b j d`.
        credit: as there, and so are all others.
        use: benefit.
        ignore: cost.
        similarity: S(v).
        iterations: at least 1.
        parent_mask: the parents that each sample has; the others are meaningless in the result.
    """
    parents: Tensor | None = None
    coupling = even_coupling(credit[..., None].expand(*credit.shape, use.shape[-1]), parent_mask)
    for _ in range(iterations):
        if parents is not None:
            coupling = mask_logits(similarity(parents), parent_mask).softmax(dim=-1)
        used = credit[..., None] * coupling
        ignored = credit[..., None] - used
        parents = combine(use * used - ignore * ignored)
    assert parents is not None
    return parents, coupling


def standardize(parents: Float[Tensor, "b j d"]) -> Float[Tensor, "b j d"]:
    """Layer normalisation without gain and bias; parents of one number remain as they are."""
    dim = parents.shape[-1]
    return nn.functional.layer_norm(parents, (dim,)) if dim > 1 else parents


def _check(iterations: int, normalize: Normalize) -> None:
    check_iterations(iterations)
    if normalize not in ("squash", "layer", None):
        raise UserError(f"normalize must be 'squash', 'layer' or None, got {normalize!r}")


@ROUTINGS.add("heinsen")
class HeinsenRouting(Routing):
    r"""Heinsen's routing (2022): parents compete to predict the children, and use or ignore each child's data.

    `heinsen_routing` as a module. With the child's pose $u_i$ it learns the credit $a_i = W^A_i u_i + B^A_i$, the
    parents' predictions of children $G_j(v_j) = W^{G2}_j \odot (W^{G1} \mathrm{LN}(v_j)) + B^{G2}_j$, the similarity
    $S_{ij} = \log f(W^S_{ij}\, u_i \cdot G_j(v_j) + B^S_{ij})$, and benefit and cost of each pair, where $f$ is the
    sigmoid. With any number of children all of them share one credit and similarity, and benefit and cost are linear
    maps of the child's pose.

    Args:
        num_children: number of children; None: any.
        num_parents: number of parents.
        child_dim: dimension of a child's pose.
        parent_dim: dimension of a parent's pose.
        iterations: the first is the uniform one.
        normalize: `"squash"`, `"layer"` as in the paper, or None: of the parents in the end. Activations are the
            lengths with `"squash"`, and 1 otherwise.

    Differs from the paper:
        The parents are squashed in the end, so that a length is a score. Children's activations are not used: the
        credit is computed from the poses. The proposal F of Algorithm 1 is the layer's votes.

    Raises:
        UserError: fewer than one iteration, or an unknown normalisation.
    """

    limits_parents = True
    child_dim: int
    iterations: int

    def __init__(
        self,
        num_children: int | None,
        num_parents: int,
        *,
        child_dim: int,
        parent_dim: int,
        iterations: int = 2,
        normalize: Normalize = "squash",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_children, num_parents, parent_dim=parent_dim)
        check_numbers(BOUNDS, iterations=iterations)
        _check(iterations, normalize)
        self.child_dim, self.iterations, self.normalize = child_dim, iterations, normalize
        self.activates = normalize == "squash"

        def empty(*sizes: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(sizes, device=device, dtype=dtype))

        rows = 1 if num_children is None else num_children
        self.credit_weight, self.credit_bias = empty(rows, child_dim), empty(rows)  # W_A, B_A
        self.predict_weight = empty(parent_dim, child_dim)  # W_G1
        self.predict_scale, self.predict_bias = empty(num_parents, child_dim), empty(num_parents, child_dim)
        self.similarity_scale, self.similarity_bias = empty(rows, num_parents), empty(rows, num_parents)
        self.use: nn.Parameter | nn.Linear
        self.ignore: nn.Parameter | nn.Linear
        if num_children is None:
            self.use = nn.Linear(child_dim, num_parents, device=device, dtype=dtype)
            self.ignore = nn.Linear(child_dim, num_parents, device=device, dtype=dtype)
        else:
            self.use, self.ignore = empty(num_children, num_parents), empty(num_children, num_parents)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As in the author's code: normal weights, and biases of zero except in the maps to benefit and cost."""
        nn.init.normal_(self.credit_weight, std=2 / sqrt(self.child_dim))
        nn.init.normal_(self.predict_weight, std=1 / sqrt(self.parent_dim))
        nn.init.normal_(self.predict_scale)
        nn.init.normal_(self.similarity_scale, std=1 / sqrt(self.child_dim))
        for bias in (self.credit_bias, self.predict_bias, self.similarity_bias):
            nn.init.zeros_(bias)
        for price in (self.use, self.ignore):
            if isinstance(price, nn.Linear):
                price.reset_parameters()
            else:
                nn.init.normal_(price)

    def initial_gain(self) -> float:
        """Benefits and costs start at random around zero: with this gain a parent starts as long as a child."""
        return 2 / hypot(1, self.num_parents - 1)

    def forward(
        self,
        votes: Float[Tensor, "b i j d"],
        activations: Float[Tensor, "b i"] | None = None,
        *,
        poses: Float[Tensor, "b i c"] | None = None,
        windows: Windows | None = None,
        parent_mask: Bool[Tensor, "b j"] | None = None,
    ) -> RoutingOutput:
        """Route votes by the children's poses.

        Args:
            votes: each child's predicted pose for each parent.
            activations: not used.
            poses: of the children.
            windows: not used: each window is routed alone.
            parent_mask: the parents that each sample has.

        Raises:
            UserError: no poses.
        """
        if poses is None:
            raise UserError("poses must be the children's, got None: heinsen computes credit and similarity from them")
        return heinsen_routing(
            votes,
            self.credit(poses),
            *self.prices(poses),
            lambda parents: self.similarity(poses, parents),
            self.iterations,
            normalize=self.normalize,
            parent_mask=parent_mask,
        )

    def credit(self, poses: Float[Tensor, "b i c"]) -> Float[Tensor, "b i"]:
        """The sigmoid of each child's activation score a_i."""
        return ((widen(poses) * widen(self.credit_weight)).sum(dim=-1) + widen(self.credit_bias)).sigmoid()

    def prices(self, poses: Float[Tensor, "b i c"]) -> tuple[Float[Tensor, "*b i j"], Float[Tensor, "*b i j"]]:
        """Benefit of data used, and cost of data ignored; with any number of children, for each sample."""
        with leave_autocast(poses.device):
            use, ignore = (
                nn.functional.linear(widen(poses), widen(price.weight), widen(price.bias))
                if isinstance(price, nn.Linear)
                else widen(price)
                for price in (self.use, self.ignore)
            )
        return use, ignore

    def similarity(self, poses: Float[Tensor, "b i c"], parents: Float[Tensor, "b j d"]) -> Float[Tensor, "b i j"]:
        """S: the log sigmoid of the scaled products of children and what each parent predicts of them."""
        with leave_autocast(poses.device):
            mapped = standardize(parents) @ widen(self.predict_weight)  # b j c
            predicted = mapped * widen(self.predict_scale) + widen(self.predict_bias)
            products = torch.einsum("bic,bjc->bij", widen(poses), predicted)
        return nn.functional.logsigmoid(products * widen(self.similarity_scale) + widen(self.similarity_bias))

    def extra_repr(self) -> str:
        return f"iterations={self.iterations}, normalize={self.normalize!r}"

"""Dynamic routing by agreement.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Procedure 1.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from capsnet.bounds import check_iterations, check_numbers
from capsnet.capsules import Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.functional import Windows, squash
from capsnet.routing.base import BOUNDS, ROUTINGS, Routing, find_fused
from capsnet.routing.parents import clear_missing, mask_logits

Gradient = Literal["full", "last"]


def dynamic_routing(
    votes: Float[Tensor, "b i j d"],
    iterations: int = 3,
    *,
    bias: Float[Tensor, "j d"] | None = None,
    leaky: bool = False,
    gradient: Gradient = "full",
    parent_mask: Bool[Tensor, "b j"] | None = None,
) -> RoutingOutput:
    r"""Route each child to the parents that agree with its vote.

    From logits $b_{ij} = 0$, repeat: $c_{ij} = \mathrm{softmax}_j(b_{ij})$, over the **parents**;
    $s_j = \sum_i c_{ij} \hat u_{j|i}$; $v_j = \mathrm{squash}(s_j)$; $b_{ij} \mathrel{+}= \hat u_{j|i} \cdot v_j$.
    Logits belong to one sample: they are neither learned nor shared over the batch.

    Args:
        votes: each child's predicted pose for each parent, û_{j|i}.
        iterations: the paper's r; with 1, coupling is uniform.
        bias: added to s_j before each squash, as in the authors' code; not in the paper.
        leaky: allow a child to be routed to no parent: the softmax has one more logit, fixed at zero, whose share is
            dropped (the paper's "none-of-the-above" category for CIFAR-10; not an additional class).
        gradient: `"full"` through all iterations, as the authors do; `"last"` treats the coupling as a constant.
        parent_mask: True for the parents that a sample has; the softmax is over them, the others get zeros. None: all.

    Shapes:
        votes `b i j d`, bias `j d`, parent_mask `b j`; poses `b j d`, activations `b j` (the lengths), coupling
        `b i j`.

    Raises:
        UserError: fewer than one iteration, or an unknown `gradient`.

    Example:
        >>> dynamic_routing(torch.randn(2, 1152, 10, 16)).poses.shape
        torch.Size([2, 10, 16])
    """
    _check(iterations, gradient)
    early_votes = votes.detach() if gradient == "last" else votes
    early_bias = bias.detach() if gradient == "last" and bias is not None else bias
    logits = votes.new_zeros(votes.shape[:3])  # b i j
    # the logits are not updated after the last step: they would not be used
    for _ in range(iterations - 1):
        poses = _parents(early_votes, _coupling(logits, leaky, parent_mask), early_bias)
        logits = logits + torch.einsum("bijd,bjd->bij", early_votes, poses)
    coupling = _coupling(logits, leaky, parent_mask)
    poses = _parents(votes, coupling, bias)
    return clear_missing(RoutingOutput(poses, poses.norm(dim=-1), coupling), parent_mask)


def dynamic_routing_maps(
    votes: Float[Tensor, "b i j d p"],
    iterations: int = 3,
    *,
    bias: Float[Tensor, "j d"] | None = None,
    leaky: bool = False,
    gradient: Gradient = "full",
) -> Float[Tensor, "b j d p"]:
    """`dynamic_routing` at each place of maps: places do not compete.

    Args:
        votes: each child's predicted pose for each parent, at each place.
        iterations: the paper's r.
        bias: added before each squash.
        leaky: allow a child to be routed to no parent.
        gradient: `"full"` or `"last"`.

    Shapes:
        votes `b i j d p`, bias `j d`; result: poses `b j d p`.
    """
    samples = votes.permute(0, 4, 1, 2, 3).flatten(0, 1)
    poses = dynamic_routing(samples, iterations, bias=bias, leaky=leaky, gradient=gradient).poses
    return poses.reshape(len(votes), votes.shape[4], *votes.shape[2:4]).permute(0, 2, 3, 1)


def _coupling(
    logits: Float[Tensor, "b i j"], leaky: bool, parent_mask: Bool[Tensor, "b j"] | None
) -> Float[Tensor, "b i j"]:
    logits = mask_logits(logits, parent_mask)
    if not leaky:
        return logits.softmax(dim=-1)
    return torch.cat([torch.zeros_like(logits[..., :1]), logits], dim=-1).softmax(dim=-1)[..., 1:]


def _parents(
    votes: Float[Tensor, "b i j d"], coupling: Float[Tensor, "b i j"], bias: Float[Tensor, "j d"] | None
) -> Float[Tensor, "b j d"]:
    total = torch.einsum("bij,bijd->bjd", coupling, votes)
    return squash(total if bias is None else total + bias)


def _check(iterations: int, gradient: str) -> None:
    check_iterations(iterations)
    if gradient not in ("full", "last"):
        raise UserError(f"gradient must be 'full' or 'last', got {gradient!r}")


@ROUTINGS.add("dynamic")
class DynamicRouting(Routing):
    """Routing by agreement (Sabour et al. 2017): children are routed to the parents that agree with their votes.

    `dynamic_routing` as a module; with `bias=True` it learns the bias of the authors' code.

    Args:
        num_children: number of children.
        num_parents: number of parents.
        parent_dim: dimension of a parent's pose.
        iterations: the paper's r.
        bias: learn a bias for each parent, added before each squash; starts at zero.
        leaky: allow a child to be routed to no parent.
        gradient: `"full"` or `"last"`.

    Raises:
        UserError: fewer than one iteration, or an unknown `gradient`.
    """

    limits_parents = True
    iterations: int

    def __init__(
        self,
        num_children: int | None,
        num_parents: int,
        *,
        parent_dim: int,
        iterations: int = 3,
        bias: bool = False,
        leaky: bool = False,
        gradient: Gradient = "full",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_children, num_parents, parent_dim=parent_dim)
        check_numbers(BOUNDS, iterations=iterations)
        _check(iterations, gradient)
        self.iterations, self.leaky, self.gradient = iterations, leaky, gradient
        self.bias: nn.Parameter | None = None
        if bias:
            self.bias = nn.Parameter(torch.zeros(num_parents, parent_dim, device=device, dtype=dtype))

    def forward(
        self,
        votes: Float[Tensor, "b i j d"],
        activations: Float[Tensor, "b i"] | None = None,
        *,
        poses: Float[Tensor, "b i c"] | None = None,
        windows: Windows | None = None,
        parent_mask: Bool[Tensor, "b j"] | None = None,
    ) -> RoutingOutput:
        """Route votes. The children's activations are not used; the votes carry their lengths."""
        return dynamic_routing(
            votes,
            self.iterations,
            bias=self.bias,
            leaky=self.leaky,
            gradient=self.gradient,
            parent_mask=parent_mask,
        )

    def route_children(
        self,
        children: Capsules,
        weight: Float[Tensor, "i c j d"],
        *,
        offsets: Float[Tensor, "p i 1 rd"] | None = None,
        windows: Windows | None = None,
    ) -> RoutingOutput:
        """Route children from their poses, with the fused kernel if it supports the call."""
        arguments = (children.poses, weight, self.iterations)
        options = {"bias": self.bias, "leaky": self.leaky, "gradient": self.gradient}
        # the kernel supports vectors only
        vectors = children.poses.shape[2] == weight.shape[1] and offsets is None and children.mask is None
        fused = find_fused("dynamic_routing", *arguments, **options) if vectors else None
        if fused is None:
            return super().route_children(children, weight, offsets=offsets, windows=windows)
        parents: RoutingOutput = fused(*arguments, **options)
        return parents

    def route_maps(self, votes: Float[Tensor, "b i j d p"]) -> tuple[Float[Tensor, "b j d p"], Float[Tensor, "b j p"]]:
        """Route the children of each place of maps, with the fused kernel if it supports the call."""
        options = {"bias": self.bias, "leaky": self.leaky, "gradient": self.gradient}
        fused = find_fused("dynamic_routing_maps", votes, self.iterations, **options)
        if fused is None:
            return super().route_maps(votes)
        poses: Tensor = fused(votes, self.iterations, **options)
        return poses, poses.norm(dim=2)

    def extra_repr(self) -> str:
        words = [f"iterations={self.iterations}"]
        if self.bias is not None:
            words.append("bias=True")
        if self.leaky:
            words.append("leaky=True")
        if self.gradient != "full":
            words.append(f"gradient={self.gradient!r}")
        return ", ".join(words)

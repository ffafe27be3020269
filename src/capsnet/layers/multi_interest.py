"""Extractors of a user's interests from the items of a history.

Li et al., "Multi-Interest Network with Dynamic Routing for Recommendation at Tmall", CIKM 2019 (MIND); Cen, Zhang, Zou,
Zhou, Yang, Tang, "Controllable Multi-Interest Framework for Recommendation", KDD 2020, section 3.2 (ComiRec).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import sqrt
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from capsnet.capsules import Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.functional.precision import without_autocast
from capsnet.layers.dense import DenseCapsules, check_sizes
from capsnet.routing.base import check_mask
from capsnet.routing.behaviour_to_interest import behaviour_to_interest_routing, count_interests, draw_logits
from capsnet.routing.dynamic import Gradient

Extractor = Literal["behaviour-to-interest", "dynamic", "self-attention"]


class MultiInterest(nn.Module):
    """Extract a user's interests, as parent capsules, from the items of the user's history, as child capsules.

    Args:
        item_dim: dimension of an item, `c`.
        num_interests: most interests of a user, `j`.
        interest_dim: dimension of an interest, `d`; None: that of an item.
        extractor: `"behaviour-to-interest"` (MIND), `"dynamic"` (ComiRec-DR: dynamic routing with a matrix for each
            position and interest) or `"self-attention"` (ComiRec-SA: attention of each interest over the items).
        max_items: most items of a history; required by `"dynamic"` and `"self-attention"`, which have parameters for
            each position.
        iterations: routing iterations; not of `"self-attention"`, which does not route.
        gradient: of routing, `"full"` or `"last"`: the coupling is a constant, as in the authors' code of ComiRec.
            `"self-attention"` has always the full one.
        adaptive: limit a user's interests by the number of items (`count_interests`); MIND only. False: all.
        std: standard deviation of the initial logits; MIND only.
        seed: seed of the initial logits; MIND only.

    Shapes:
        items `b i c` and mask `b i`; poses `b j d`, activations `b j`, coupling `b i j`, mask `b j`: the interests
        of each user. A user without items has none, and poses of zero.

    Raises:
        UserError: a size below 1, an unknown extractor, an argument that it does not use, or items of another number or
            dimension.

    Example:
        >>> layer = MultiInterest(16, 4)
        >>> items, mask = torch.randn(2, 50, 16), torch.arange(50) < torch.tensor([[50], [9]])
        >>> layer(items, mask, users=torch.tensor([7, 8])).mask.sum(dim=1)
        tensor([4, 3])
    """

    def __init__(
        self,
        item_dim: int,
        num_interests: int,
        *,
        interest_dim: int | None = None,
        extractor: Extractor = "behaviour-to-interest",
        max_items: int | None = None,
        iterations: int = 3,
        gradient: Gradient = "full",
        adaptive: bool = True,
        std: float = 1.0,
        seed: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        interest_dim = item_dim if interest_dim is None else interest_dim
        check_sizes(item_dim=item_dim, num_interests=num_interests, interest_dim=interest_dim, iterations=iterations)
        check_sizes(std=std, seed=seed)
        if extractor not in ("behaviour-to-interest", "dynamic", "self-attention"):
            raise UserError(
                f"extractor must be 'behaviour-to-interest', 'dynamic' or 'self-attention', got {extractor!r}"
            )
        check_sizes(max_items=max_items)
        if gradient not in get_args(Gradient):
            raise UserError(f"gradient must be {' or '.join(map(repr, get_args(Gradient)))}, got {gradient!r}")
        _check_effect(extractor, {"iterations": iterations, "adaptive": adaptive, "std": std, "seed": seed})
        self.item_dim, self.extractor, self.max_items = item_dim, extractor, max_items
        self.extract: _Extract
        if extractor == "behaviour-to-interest":
            self.extract = _BehaviourToInterest(
                item_dim, num_interests, interest_dim, iterations, gradient, adaptive, std, seed, device, dtype
            )
        elif max_items is None:
            raise UserError(f"max_items must be a number for {extractor!r}, got None: it learns of each position")
        elif extractor == "dynamic":
            options = {"iterations": iterations, "gradient": gradient}
            self.extract = _Dynamic(item_dim, num_interests, interest_dim, max_items, options, device, dtype)
        else:
            self.extract = _SelfAttention(item_dim, num_interests, interest_dim, max_items, device, dtype)

    def forward(
        self,
        items: Float[Tensor, "b i c"],
        mask: Bool[Tensor, "b i"] | None = None,
        *,
        users: Int[Tensor, " b"] | None = None,
    ) -> RoutingOutput:
        """Extract interests.

        Args:
            items: embeddings of the items of each history.
            mask: False for padding, which has no influence; None: no padding.
            users: user numbers (ids), from which `"behaviour-to-interest"` draws its initial logits; None: the same
                logits for all users.
        """
        if (
            items.ndim != 3
            or items.shape[2] != self.item_dim
            or (self.max_items is not None and items.shape[1] > self.max_items)
        ):
            most = "" if self.max_items is None else f"at most {self.max_items} "
            raise UserError(f"items must be b x {most}items x {self.item_dim}, got {tuple(items.shape)}")
        there = items.new_ones(items.shape[:2], dtype=torch.bool) if mask is None else mask
        check_mask(there, items.shape[:2], "items")
        output: RoutingOutput = self.extract(items.masked_fill(~there[..., None], 0), there, users)
        return output

    def extra_repr(self) -> str:
        return f"extractor={self.extractor!r}, max_items={self.max_items}"


# defaults of arguments that not every extractor uses, and the extractors that do
_DEFAULTS: Mapping[str, object] = {"iterations": 3, "adaptive": True, "std": 1.0, "seed": 0}
_USED: Mapping[Extractor, tuple[str, ...]] = {
    "behaviour-to-interest": tuple(_DEFAULTS),
    "dynamic": ("iterations",),
    "self-attention": (),
}


def _check_effect(extractor: Extractor, given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if name not in _USED[extractor] and value != _DEFAULTS[name]:
            raise UserError(f"{name} must be left out, got {value!r}: extractor {extractor!r} does not use it")


class _Extract(nn.Module, ABC):
    """One extractor; its padding is zero."""

    @abstractmethod
    def forward(
        self, items: Float[Tensor, "b i c"], mask: Bool[Tensor, "b i"], users: Int[Tensor, " b"] | None
    ) -> RoutingOutput: ...


class _BehaviourToInterest(_Extract):
    def __init__(
        self,
        item_dim: int,
        num_interests: int,
        interest_dim: int,
        iterations: int,
        gradient: Gradient,
        adaptive: bool,
        std: float,
        seed: int,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.num_interests, self.iterations, self.gradient = num_interests, iterations, gradient
        self.adaptive, self.std, self.seed = adaptive, std, seed
        self.weight = nn.Parameter(torch.empty(item_dim, interest_dim, device=device, dtype=dtype))  # S
        nn.init.normal_(self.weight, std=1 / sqrt(interest_dim))

    def forward(
        self, items: Float[Tensor, "b i c"], mask: Bool[Tensor, "b i"], users: Int[Tensor, " b"] | None
    ) -> RoutingOutput:
        if users is None:
            users = torch.zeros(len(items), dtype=torch.int64, device=items.device)
        interests = None
        if self.adaptive:
            number = count_interests(mask.sum(dim=1), self.num_interests)
            interests = torch.arange(self.num_interests, device=items.device) < number[:, None]
        with without_autocast(items.device):
            votes = items.to(self.weight.dtype) @ self.weight
            logits = draw_logits(users, items.shape[1], self.num_interests, std=self.std, seed=self.seed)
            return behaviour_to_interest_routing(
                votes, logits.to(votes.dtype), self.iterations, mask=mask, interests=interests, gradient=self.gradient
            )


class _Dynamic(_Extract):
    def __init__(
        self,
        item_dim: int,
        num_interests: int,
        interest_dim: int,
        max_items: int,
        options: Mapping[str, object],
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.capsules = DenseCapsules(
            max_items,
            num_interests,
            child_dim=item_dim,
            parent_dim=interest_dim,
            routing="dynamic",
            routing_options=options,
            device=device,
            dtype=dtype,
        )

    def forward(
        self, items: Float[Tensor, "b i c"], mask: Bool[Tensor, "b i"], users: Int[Tensor, " b"] | None
    ) -> RoutingOutput:
        layer = self.capsules
        poses = items.to(layer.weight.dtype)
        children = Capsules(poses, poses.new_ones(poses.shape[:2]), mask=mask)
        with without_autocast(items.device):
            # only the matrices of the positions in use
            out = layer.routing.route_children(children, layer.weight[: items.shape[1]])
        return out._replace(mask=mask.any(dim=1, keepdim=True).expand_as(out.activations))


class _SelfAttention(_Extract):
    r"""$A = \mathrm{softmax}_i(W_2^T \tanh(W_1 H))$, $V = H A$, where H holds items with embeddings of their positions.

    Differs from the paper:
        The interests are sums of the items without their positions, as in the authors' code. If an interest has another
        dimension than an item, a learned matrix maps the sums.
    """

    def __init__(
        self,
        item_dim: int,
        num_interests: int,
        interest_dim: int,
        max_items: int,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        hidden = 4 * item_dim
        self.positions = nn.Parameter(torch.empty(max_items, item_dim, device=device, dtype=dtype))
        nn.init.normal_(self.positions, std=1 / sqrt(item_dim))
        self.hidden = nn.Linear(item_dim, hidden, bias=False, device=device, dtype=dtype)  # W_1
        self.scores = nn.Linear(hidden, num_interests, bias=False, device=device, dtype=dtype)  # W_2
        self.values: nn.Module = nn.Identity()
        if interest_dim != item_dim:
            self.values = nn.Linear(item_dim, interest_dim, bias=False, device=device, dtype=dtype)

    def forward(
        self, items: Float[Tensor, "b i c"], mask: Bool[Tensor, "b i"], users: Int[Tensor, " b"] | None
    ) -> RoutingOutput:
        scores = self.scores(self.hidden(items + self.positions[: items.shape[1]]).tanh())  # b i j
        lowest = torch.finfo(scores.dtype).min
        coupling = scores.masked_fill(~mask[..., None], lowest).softmax(dim=1).masked_fill(~mask[..., None], 0)
        poses = torch.einsum("bij,bid->bjd", coupling, self.values(items))
        some = mask.any(dim=1, keepdim=True).expand(-1, coupling.shape[2])
        return RoutingOutput(poses, some.to(poses.dtype), coupling, mask=some)

"""Behaviour-to-interest routing: a user's behaviours are children, the user's interests are parents.

Li, Liu, Wu, Xu, Zhao, Huang, Kang, Chen, Li, Lee, "Multi-Interest Network with Dynamic Routing for Recommendation at
Tmall", CIKM 2019, section 3.3 and Algorithm 1.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from capsnet.bounds import check_iterations
from capsnet.capsules import RoutingOutput
from capsnet.errors import UserError
from capsnet.functional import squash
from capsnet.functional.labels import can_read
from capsnet.routing.dynamic import Gradient


def behaviour_to_interest_routing(
    votes: Float[Tensor, "b i d"],
    logits: Float[Tensor, "b i j"],
    iterations: int = 3,
    *,
    mask: Bool[Tensor, "b i"] | None = None,
    interests: Bool[Tensor, "b j"] | None = None,
    gradient: Gradient = "full",
) -> RoutingOutput:
    r"""Route each behaviour to the interests that agree with it; a behaviour has one vote for all interests.

    With one matrix S for all pairs the vote is $S e_i$, and logits of zero would keep all interests equal: they start
    at random. Repeat: $w_{ij} = \mathrm{softmax}_j(b_{ij})$, over the interests of the user;
    $z_j = \sum_i w_{ij} S e_i$; $u_j = \mathrm{squash}(z_j)$; $b_{ij} \mathrel{+}= u_j \cdot S e_i$.
    Logits belong to one user: neither their start nor their updates are summed over the batch.

    Args:
        votes: $S e_i$ of each behaviour.
        logits: initial logits b_ij, for example from `draw_logits`.
        iterations: the paper's r.
        mask: False for padding, which has no influence on the interests; None: no padding.
        interests: True for the interests that a user has (`count_interests` gives their number); None: all. The others
            get a pose of zero.
        gradient: `"full"` through all iterations; `"last"` treats the coupling as a constant, as other libraries do.

    Shapes:
        votes `b i d`, logits `b i j`, mask `b i`, interests `b j`; poses `b j d`, activations `b j` (the lengths),
        coupling `b i j`, mask `b j`: the user's interests, none of a user without behaviours.

    Raises:
        UserError: fewer than one iteration, an unknown `gradient`, or, on the CPU, a user without interests; on another
            device, where to read them takes time, such a user has a coupling of zero.

    Example:
        >>> logits = draw_logits(torch.tensor([7, 8]), 50, 4)
        >>> behaviour_to_interest_routing(torch.randn(2, 50, 16), logits).poses.shape
        torch.Size([2, 4, 16])
    """
    _check(iterations, gradient, interests)
    there = votes.new_ones(votes.shape[:2], dtype=torch.bool) if mask is None else mask
    limit = votes.new_ones(len(votes), logits.shape[2], dtype=torch.bool) if interests is None else interests
    limit = limit & there.any(dim=1, keepdim=True)
    votes = votes.masked_fill(~there[..., None], 0)
    logits = logits.masked_fill(~there[..., None], 0)
    early_votes = votes.detach() if gradient == "last" else votes
    # the logits are not updated after the last step: they would not be used
    for _ in range(iterations - 1):
        poses = squash(torch.einsum("bij,bid->bjd", _coupling(logits, there, limit), early_votes))
        logits = logits + torch.einsum("bid,bjd->bij", early_votes, poses)
    coupling = _coupling(logits, there, limit)
    poses = squash(torch.einsum("bij,bid->bjd", coupling, votes))
    return RoutingOutput(poses, poses.norm(dim=-1), coupling, mask=limit)


def count_interests(behaviours: Int[Tensor, " b"], most: int) -> Int[Tensor, " b"]:
    r"""Number of a user's interests, $K'_u = \max(1, \min(K, \lfloor \log_2 |I_u| \rfloor))$ (Eq. 9).

    Args:
        behaviours: number of each user's behaviours, $|I_u|$.
        most: K.

    Shapes:
        behaviours and result `b`.

    Differs from the paper:
        The logarithm is rounded down; the paper does not say how.

    Example:
        >>> count_interests(torch.tensor([1, 7, 8, 1000]), 5)
        tensor([1, 2, 3, 5])
    """
    # the exponent of a float is exact, where the logarithm is rounded
    exponent: Tensor = torch.frexp(behaviours.double()).exponent - 1
    return exponent.clamp(min=1, max=most).to(behaviours.dtype)


def draw_logits(
    users: Int[Tensor, " b"], num_behaviours: int, num_interests: int, *, std: float = 1.0, seed: int = 0
) -> Float[Tensor, "b i j"]:
    r"""Draw initial logits from $N(0, \sigma^2)$, always the same for a user, a position and an interest.

    Each number is a hash of the seed, the user, the position and the interest. It does not depend on the other users
    of a batch, on padding, on earlier calls or on the device.

    Args:
        users: user numbers (ids).
        num_behaviours: number of positions, including padding.
        num_interests: K.
        std: σ.
        seed: seed of the hash.

    Shapes:
        users `b`; result `b i j`.

    Example:
        >>> draw_logits(torch.tensor([7, 8]), 3, 2).shape
        torch.Size([2, 3, 2])
    """
    device = users.device
    key = _mix(_mix(torch.full((), seed, dtype=torch.int64, device=device))[None] + users.long())
    key = _mix(key[:, None] + torch.arange(num_behaviours, device=device))
    key = _mix(key[..., None] + torch.arange(num_interests, device=device))
    uniform = (_shift(key, 12).double() + 0.5) / 2**52
    normal: Tensor = torch.special.ndtri(uniform)
    return (std * normal).to(torch.get_default_dtype())


def _mix(x: Int[Tensor, "*axes"]) -> Int[Tensor, "*axes"]:
    """A step of the generator SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), in integers of 64 bits that wrap."""
    x = x + (0x9E3779B97F4A7C15 - 2**64)
    x = (x ^ _shift(x, 30)) * (0xBF58476D1CE4E5B9 - 2**64)
    x = (x ^ _shift(x, 27)) * (0x94D049BB133111EB - 2**64)
    return x ^ _shift(x, 31)


def _shift(x: Int[Tensor, "*axes"], bits: int) -> Int[Tensor, "*axes"]:
    """Shift right and fill with zeros; torch fills with the sign."""
    shifted: Tensor = (x >> bits) & (2 ** (64 - bits) - 1)
    return shifted


def _coupling(
    logits: Float[Tensor, "b i j"], mask: Bool[Tensor, "b i"], interests: Bool[Tensor, "b j"]
) -> Float[Tensor, "b i j"]:
    # a finite number: a user without behaviours has no interest to normalise over
    lowest = torch.finfo(logits.dtype).min
    coupling = logits.masked_fill(~interests[:, None], lowest).softmax(dim=-1)
    return coupling.masked_fill(~(mask[..., None] & interests[:, None]), 0)


def _check(iterations: int, gradient: str, interests: Tensor | None) -> None:
    check_iterations(iterations)
    if gradient not in ("full", "last"):
        raise UserError(f"gradient must be 'full' or 'last', got {gradient!r}")
    if interests is not None and can_read(interests) and not interests.any(dim=1).all():
        raise UserError("interests must be at least one for each user, got none; see count_interests")

"""Label-aware attention: the interest of a user that fits an item.

Li et al., "Multi-Interest Network with Dynamic Routing for Recommendation at Tmall", CIKM 2019, section 3.4.
"""

from math import inf

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from capsnet.errors import UserError


def label_aware_attention(
    interests: Float[Tensor, "b j d"],
    items: Float[Tensor, "b d"],
    power: float = 2.0,
    *,
    mask: Bool[Tensor, "b j"] | None = None,
) -> Float[Tensor, "b d"]:
    r"""Average a user's interests, weighted by how well they fit the item that the user clicked.

    $$v = V\, \mathrm{softmax}(\mathrm{pow}(V^T e, p))$$

    Used in training only, where the clicked item is known. ComiRec takes the best interest: `power=math.inf`.

    Args:
        interests: V.
        items: the clicked item of each user, e.
        power: p; 0 weights all interests equally, and `math.inf` takes the best one.
        mask: False for interests that a user does not have, which get no weight; None: all users have all. A user
            without interests gets zeros.

    Shapes:
        interests `b j d`, items `b d`, mask `b j`; result `b d`.

    Raises:
        UserError: a power that is neither 0 nor at least 1.

    Differs from the paper:
        The power keeps the sign of a negative product: an even power would reward the interest that fits worst.

    Example:
        >>> interests = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])
        >>> label_aware_attention(interests, torch.tensor([[1.0, 0.0]]), math.inf)
        tensor([[2., 0.]])
    """
    if power != 0 and not power >= 1:
        raise UserError(f"power must be 0 or at least 1, got {power}")
    there = torch.ones_like(interests[..., 0], dtype=torch.bool) if mask is None else mask
    products = torch.einsum("bjd,bd->bj", interests, items)
    if power == inf:
        best = products.masked_fill(~there, -inf).argmax(dim=1, keepdim=True)
        weights = torch.zeros_like(products).scatter(1, best, 1.0)
    else:
        largest = torch.finfo(products.dtype).max
        # a power may overflow, and then its gradient would be NaN
        sizes = products.abs().clamp(max=largest ** (1 / max(power, 1)))
        scores = products.sign() * sizes**power if power else torch.zeros_like(products)
        if power == 1:
            # the derivative of the sign is missing where a product is 0
            scores = products
        weights = scores.clamp(-largest, largest).masked_fill(~there, -largest).softmax(dim=1)
    return torch.einsum("bj,bjd->bd", weights.masked_fill(~there, 0), interests)

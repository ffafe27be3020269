"""Squashing non-linearities: the length of a capsule becomes a number between 0 and 1.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Eq. 1; Mazzia, Salvetti, Chiaberge,
"Efficient-CapsNet: Capsule Network with Self-Attention Routing", Scientific Reports 2021.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.functional.precision import widen


def squash(x: Float[Tensor, "*axes"], dim: int = -1) -> Float[Tensor, "*axes"]:
    r"""Shorten vectors to a length in [0, 1) and keep their direction.

    $$v = \frac{\|s\|^2}{1 + \|s\|^2} \frac{s}{\|s\|} = \frac{\|s\|}{1 + \|s\|^2}\, s$$

    Value and gradient are finite for every finite input, including the zero vector and 1e30: the vector is scaled
    by its largest entry, and 1e-20 is added inside the root. Half precision is computed in float32 and returned in
    the input dtype.

    Args:
        x: vectors s_j.
        dim: axis that holds a vector's entries.

    Shapes:
        x and result: any, the same.

    Differs from the paper:
        The authors' code divides by the norm and gives 0/0 for a zero vector; here it gives zero.

    Example:
        >>> squash(torch.tensor([3.0, 4.0])).norm()  # 25 / 26
        tensor(0.9615)
    """
    y, norm, unit = _measure(x, dim)
    # unit ** -2, not 1 / unit ** 2, which would be 1 / inf
    return (y * (norm / (unit.reciprocal().square() + norm.square()))).to(x.dtype)


def exponential_squash(x: Float[Tensor, "*axes"], dim: int = -1) -> Float[Tensor, "*axes"]:
    r"""Shorten vectors to a length in [0, 1) and keep their direction; short vectors keep their length (Mazzia et al.).

    $$v = (1 - e^{-\|s\|}) \frac{s}{\|s\|}$$

    The gradient does not vanish at zero as that of `squash` does. Finite for every finite input, as `squash` is.

    Args:
        x: vectors s_j.
        dim: axis that holds a vector's entries.

    Shapes:
        x and result: any, the same.

    Example:
        >>> exponential_squash(torch.tensor([0.6, 0.8])).norm()  # 1 - 1 / e
        tensor(0.6321)
    """
    y, norm, unit = _measure(x, dim)
    return (y * (-torch.expm1(-unit * norm) / norm)).to(x.dtype)


def _measure(x: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """The vectors divided by their largest entry, their norm in that unit, and the unit."""
    wide = widen(x)
    # the unit is a constant to autograd: the result does not depend on it
    unit = wide.detach().abs().amax(dim=dim, keepdim=True).clamp(min=1.0)
    y = wide / unit
    return y, (y.square().sum(dim=dim, keepdim=True) + 1e-20).sqrt(), unit

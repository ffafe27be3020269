"""The squashing non-linearity. Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Eq. 1."""

import torch
from jaxtyping import Float
from torch import Tensor


def squash(x: Float[Tensor, "*axes"], dim: int = -1) -> Float[Tensor, "*axes"]:
    r"""Shorten vectors to a length in [0, 1) and keep their direction.

    $$v = \frac{\|s\|^2}{1 + \|s\|^2} \frac{s}{\|s\|} = \frac{\|s\|}{1 + \|s\|^2}\, s$$

    Value and gradient are finite for every finite input, the zero vector and 1e30 among them: the vector is
    measured in units of its own largest entry, and 1e-20 stands inside the root. Half precision is computed in
    float32 and returned in its own type.

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
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    # the unit is a constant to autograd: the result does not depend on it
    unit = wide.detach().abs().amax(dim=dim, keepdim=True).clamp(min=1.0)
    y = wide / unit
    norm = (y.square().sum(dim=dim, keepdim=True) + 1e-20).sqrt()
    # unit ** -2, not 1 / unit ** 2, which would be 1 / inf
    return (y * (norm / (unit.reciprocal().square() + norm.square()))).to(x.dtype)

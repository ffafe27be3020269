"""Votes: what each child thinks each parent looks like.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Eq. 2.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def dense_votes(poses: Float[Tensor, "b i c"], weight: Float[Tensor, "i c j d"]) -> Float[Tensor, "b i j d"]:
    r"""Multiply each child's pose with its own matrix for each parent: $\hat u_{j|i} = W_{ij} u_i$.

    Args:
        poses: children u_i.
        weight: transformation matrices W_ij; child and its dimension first, so that both `(i c) (j d)`, one matrix
            for all children, and `i c (j d)`, one for each child, are views.

    Shapes:
        poses `b i c`, weight `i c j d`, result `b i j d`.
    """
    return torch.einsum("bic,icjd->bijd", poses, weight)

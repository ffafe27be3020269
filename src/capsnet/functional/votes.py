"""Votes: what each child thinks each parent looks like.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Eq. 2; matrix poses: Hinton, Sabour, Frosst,
"Matrix capsules with EM routing", ICLR 2018, section 2.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.errors import UserError


def dense_votes(poses: Float[Tensor, "b i rc"], weight: Float[Tensor, "i c j d"]) -> Float[Tensor, "b i j rd"]:
    r"""Multiply each child's pose with its own matrix for each parent: $\hat u_{j|i} = W_{ij} u_i$.

    A pose of `r` times `c` numbers is a matrix $M_i$ of `r` rows, and its vote the matrix $M_i W_{ij}$.

    Args:
        poses: children u_i, or M_i row after row.
        weight: transformation matrices W_ij; child and its dimension first, so that both `(i c) (j d)`, one matrix
            for all children, and `i c (j d)`, one for each child, are views.

    Shapes:
        poses `b i (r c)`, weight `i c j d`, result `b i j (r d)`; `r` is 1 for vectors.

    Raises:
        UserError: poses that are no whole number of rows.
    """
    width = weight.shape[1]
    if poses.shape[2] == width:
        return torch.einsum("bic,icjd->bijd", poses, weight)
    if poses.shape[2] % width:
        raise UserError(f"poses must be whole rows of {width} numbers, got {poses.shape[2]}")
    rows = poses.reshape(*poses.shape[:2], -1, width)
    # in memory child after child, as the product above leaves votes: a routing's sums over children then copy nothing
    return torch.einsum("birc,icjd->ibjrd", rows, weight).flatten(3).transpose(0, 1)

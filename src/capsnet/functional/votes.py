"""Votes: each child's predicted pose for each parent.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Eq. 2; matrix poses: Hinton, Sabour, Frosst,
"Matrix capsules with EM routing", ICLR 2018, section 2.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.errors import UserError
from capsnet.torch_internals import has_tangent, in_transform


def dense_votes(
    poses: Float[Tensor, "b i rc"],
    weight: Float[Tensor, "i c j d"],
    offsets: Float[Tensor, "p i 1 rd"] | None = None,
) -> Float[Tensor, "b i j rd"]:
    r"""Multiply each child's pose with its own matrix for each parent: $\hat u_{j|i} = W_{ij} u_i$.

    A pose of `r` times `c` numbers is a matrix $M_i$ of `r` rows, and its vote the matrix $M_i W_{ij}$.

    Args:
        poses: children u_i, or M_i row after row.
        weight: transformation matrices W_ij; child and its dimension first, so that both `(i c) (j d)`, one matrix
            for all children, and `i c (j d)`, one for each child, are views.
        offsets: added to the votes at each position (coordinate addition); the batch axis of `poses` is then
            (sample, position), sample first.

    Shapes:
        poses `b i (r c)`, weight `i c j d`, result `b i j (r d)`; `r` is 1 for vectors. On a CPU the votes of matrices
        lie in memory as `b j (r d) i`, in which sums over children and over entries are both fast.

    Raises:
        UserError: the pose size is not a multiple of the row width.
    """
    if offsets is not None:
        votes = dense_votes(poses, weight)
        return (votes.reshape(-1, len(offsets), *votes.shape[1:]) + offsets).flatten(0, 1)
    width = weight.shape[1]
    if poses.shape[2] == width:
        return torch.einsum("bic,icjd->bijd", poses, weight)
    if poses.shape[2] % width:
        raise UserError(f"poses must be whole rows of {width} numbers, got {poses.shape[2]}")
    rows = poses.reshape(*poses.shape[:2], poses.shape[2] // width, width)
    if poses.device.type == "cpu" and not _needs_rules(rows, weight):
        products: Tensor = _MatrixVotes.apply(rows, weight)
        return products.flatten(2, 3).permute(0, 3, 1, 2)
    return torch.einsum("birc,icjd->bijrd", rows, weight).flatten(3)


def _needs_rules(*tensors: Tensor) -> bool:
    """Whether a derivative is asked for that an autograd function without further rules does not have."""
    return in_transform() or (not torch.compiler.is_compiling() and any(map(has_tangent, tensors)))


class _MatrixVotes(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Float[Tensor, "b i r c"], weight: Float[Tensor, "i c j d"]
    ) -> Float[Tensor, "b j r d i"]:
        ctx.save_for_backward(rows, weight)
        return matrix_votes(rows, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Float[Tensor, "b j r d i"]) -> tuple[Tensor, Tensor]:
        rows, weight = ctx.saved_tensors
        return matrix_votes_backward(rows, weight, gradient)


def matrix_votes(
    rows: Float[Tensor, "b i r c"], weight: Float[Tensor, "i c j d"], out: Float[Tensor, "b j r d i"] | None = None
) -> Float[Tensor, "b j r d i"]:
    """Products of small matrices: sum over `c` with elementwise products of whole tensors, children last.

    A batched matrix product over children has few columns, and takes ten times as long.
    """
    entries = rows.permute(3, 0, 2, 1).contiguous()[:, :, None, :, None]  # c b 1 r 1 i
    matrices = weight.permute(1, 2, 3, 0).contiguous()[:, :, None]  # c j 1 d i
    votes = torch.mul(entries[0], matrices[0], out=out)
    for a, b in zip(entries[1:], matrices[1:], strict=True):
        votes.addcmul_(a, b)
    return votes


def matrix_votes_backward(
    rows: Float[Tensor, "b i r c"],
    weight: Float[Tensor, "i c j d"],
    gradient: Float[Tensor, "b j r d i"],
    room: Tensor | None = None,
) -> tuple[Float[Tensor, "b i r c"], Float[Tensor, "i c j d"]]:
    """Gradients of rows and weight, by batched matrix products, which are fast here because the sums are long.

    Args:
        rows: poses.
        weight: transformation matrices.
        gradient: to the votes.
        room: scratch memory of the size of `gradient`.
    """
    samples, children, height, width = rows.shape
    per_child = gradient.permute(4, 0, 2, 1, 3)
    if room is not None:
        per_child = room.view(per_child.shape).copy_(per_child)
    per_child = per_child.reshape(children, samples * height, weight.shape[2] * weight.shape[3])  # i (b r) (j d)
    to_rows = torch.bmm(per_child, weight.flatten(2).mT)  # i (b r) c
    to_weight = torch.bmm(rows.permute(1, 3, 0, 2).reshape(children, width, -1), per_child)  # i c (j d)
    return to_rows.view(children, samples, height, width).permute(1, 0, 2, 3), to_weight.view(weight.shape)

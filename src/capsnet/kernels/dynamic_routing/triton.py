"""Fused dynamic routing on a GPU, in Triton; one kernel for an iteration, one for the gradients of poses and weight.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Procedure 1; the derivation, the names and the
memory traffic are in README.md of this folder.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from capsnet.functional import squash
from capsnet.kernels.dynamic_routing.cpu import squash_gradient

# samples of one program, and about how many programs: a few for each multiprocessor of a large GPU
_SAMPLES, _PROGRAMS = 8, 512


@triton.jit
def _iterate(
    poses, weight, reached, grad_total, grad_coupling, coupling, change, partial,
    samples, children, parents, dim, children_each, to_b, to_i, to_j, from_b, from_i, from_j,
    C: tl.constexpr, LEAKY: tl.constexpr, BACKWARD: tl.constexpr, DIRECT: tl.constexpr, KEEP: tl.constexpr,
    SAMPLES: tl.constexpr, PARENTS: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    """Sum votes times coupling over some children; backward, votes times the gradient of the logits."""
    b = tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)
    j, d = tl.arange(0, PARENTS), tl.arange(0, DIM)
    in_jd = (j[:, None] < parents) & (d[None, :] < dim)
    in_bj = (b[:, None] < samples) & (j[None, :] < parents)
    in_bjd = (b[:, None, None] < samples) & in_jd[None, :, :]
    at_bjd = (b[:, None, None] * parents + j[None, :, None]) * dim + d[None, None, :]
    so_far = tl.load(reached + at_bjd, in_bjd, 0.0)
    total = tl.zeros_like(so_far)
    first = tl.program_id(1) * children_each
    for i in range(first, tl.minimum(first + children_each, children)):
        votes = tl.zeros_like(so_far)
        for c in range(C):
            u = tl.load(poses + (b * children + i) * C + c, b < samples, 0.0)
            w = tl.load(weight + ((i * C + c) * parents + j[:, None]) * dim + d[None, :], in_jd, 0.0)
            votes += u[:, None, None] * w[None, :, :]
        logits = tl.where(in_bj, tl.sum(votes * so_far, 2), float("-inf"))
        # a row of no sample has no finite logit: its maximum must be finite all the same
        top = tl.where(b < samples, tl.max(logits, 1), 0.0)
        if LEAKY:
            top = tl.maximum(top, 0.0)
        share = tl.exp(logits - top[:, None])
        whole = tl.sum(share, 1)
        if LEAKY:
            whole += tl.exp(-top)
        share = share / tl.where(b < samples, whole, 1.0)[:, None]
        if KEEP:
            tl.store(coupling + b[:, None] * to_b + i * to_i + j[None, :] * to_j, share, in_bj)
        factor = share
        if BACKWARD:
            grad = tl.sum(votes * tl.load(grad_total + at_bjd, in_bjd, 0.0), 2)
            if DIRECT:
                grad += tl.load(grad_coupling + b[:, None] * from_b + i * from_i + j[None, :] * from_j, in_bj, 0.0)
            factor = share * (grad - tl.sum(share * grad, 1)[:, None])
            tl.store(change + b[:, None] * to_b + i * to_i + j[None, :] * to_j, factor, in_bj)
        total += factor[:, :, None] * votes
    tl.store(partial + tl.program_id(1) * samples * parents * dim + at_bjd, total, in_bjd)


@triton.jit
def _gradients(
    poses, weight, factors, vectors, grad_poses, grad_weight, samples, children, parents, dim, child_dim,
    PAIRS: tl.constexpr, C: tl.constexpr, PARENTS: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    """Find the gradients of one child's poses and matrices from that of its votes, a sum of factors times vectors."""
    i = tl.program_id(0)
    c, j, d = tl.arange(0, C), tl.arange(0, PARENTS), tl.arange(0, DIM)
    in_jd = (j[:, None] < parents) & (d[None, :] < dim)
    in_cjd = (c[:, None, None] < child_dim) & in_jd[None, :, :]
    at_cjd = ((i * child_dim + c[:, None, None]) * parents + j[None, :, None]) * dim + d[None, None, :]
    w = tl.load(weight + at_cjd, in_cjd, 0.0)
    grad_w = tl.zeros_like(w)
    for b in range(samples):
        u = tl.load(poses + (b * children + i) * child_dim + c, c < child_dim, 0.0)
        grad_vote = tl.zeros([PARENTS, DIM], dtype=w.dtype)
        for pair in range(PAIRS):
            row = pair * samples + b
            factor = tl.load(factors + (row * children + i) * parents + j, j < parents, 0.0)
            vector = tl.load(vectors + (row * parents + j[:, None]) * dim + d[None, :], in_jd, 0.0)
            grad_vote += factor[:, None] * vector
        grad_w += u[:, None, None] * grad_vote[None, :, :]
        grad_u = tl.sum(tl.sum(w * grad_vote[None, :, :], 2), 1)
        tl.store(grad_poses + (b * children + i) * child_dim + c, grad_u, c < child_dim)
    tl.store(grad_weight + at_cjd, grad_w, in_cjd)


def forward(
    poses: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    leaky: bool,
    parents: Tensor,
    coupling: Tensor,
    totals: Tensor,
) -> None:
    """Fill `parents`, `coupling` and `totals` from the other arguments."""
    u, w = poses.to(totals.dtype).contiguous(), weight.to(totals.dtype).contiguous()
    wide = coupling if coupling.dtype == totals.dtype else torch.empty_like(coupling, dtype=totals.dtype)
    share = 1 / (weight.shape[2] + leaky)
    reached = torch.zeros_like(totals[0])
    for step, total in enumerate(totals):
        if step == 0:
            total.copy_((u.flatten(1) @ w.flatten(0, 1).flatten(1)).view_as(total) * share)
            wide.fill_(share)
        else:
            _launch(u, w, reached, total, leaky, coupling=wide if step == len(totals) - 1 else None)
        if bias is not None:
            total += bias
        reached += squash(total)
    parents.copy_(squash(totals[-1]))
    if wide is not coupling:
        coupling.copy_(wide)


def backward(
    poses: Tensor,
    weight: Tensor,
    totals: Tensor,
    grad_parents: Tensor,
    grad_coupling: Tensor | None,
    leaky: bool,
    full: bool,
    grads: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Fill `grads`, those of `poses`, `weight` and `bias`, from the other arguments."""
    u, w = poses.to(totals.dtype).contiguous(), weight.to(totals.dtype).contiguous()
    grad_u, grad_w = torch.zeros_like(u), torch.zeros_like(w)
    grad_bias = totals.new_zeros(w.shape[2:])
    direct = None if grad_coupling is None else grad_coupling.to(totals.dtype)
    grad_pose, agreed = grad_parents.to(totals.dtype), torch.zeros_like(totals[0])
    poses_so_far = torch.stack([torch.zeros_like(agreed), *map(squash, totals[:-1])]).cumsum(0)
    factors, vectors = [], []
    for step in range(len(totals) - 1, -1, -1):
        grad_total = squash_gradient(totals[step], grad_pose, dim=-1)
        grad_bias += grad_total.sum(0)
        if step == 0:
            share = (grad_total / (w.shape[2] + leaky)).flatten(1)
            grad_u += (share @ w.flatten(0, 1).flatten(1).t()).view_as(u)
            grad_w += (u.flatten(1).t() @ share).view_as(w)
        else:
            pair = u.new_empty(2, *u.shape[:2], w.shape[2])
            change = torch.empty_like(agreed)
            _launch(u, w, poses_so_far[step], change, leaky, pair[0], pair[1], grad_total, direct)
            agreed += change
            factors += [pair[0], pair[1]] if full else [pair[0]]
            vectors += [grad_total, poses_so_far[step]] if full else [grad_total]
        grad_pose, direct = agreed, None
        if not full:
            break
    if factors:
        _add_gradients(u, w, torch.stack(factors), torch.stack(vectors), grad_u, grad_w)
    for to, grad in zip(grads, (grad_u, grad_w, grad_bias), strict=True):
        to.copy_(grad)


def _launch(
    poses: Tensor,
    weight: Tensor,
    reached: Tensor,
    out: Tensor,
    leaky: bool,
    coupling: Tensor | None = None,
    change: Tensor | None = None,
    grad_total: Tensor | None = None,
    grad_coupling: Tensor | None = None,
) -> None:
    """Run `_iterate` on all samples and children; `out` gets the sum of all programs, always in the same order."""
    b, i, c = poses.shape
    _, _, j, d = weight.shape
    blocks = triton.cdiv(b, _SAMPLES)
    each = triton.cdiv(i, max(1, min(i, _PROGRAMS // blocks)))
    splits = triton.cdiv(i, each)
    partial = poses.new_empty(splits, b, j, d)
    unused = partial
    _iterate[blocks, splits](
        poses, weight, reached,
        unused if grad_total is None else grad_total,
        unused if grad_coupling is None else grad_coupling,
        unused if coupling is None else coupling,
        unused if change is None else change,
        partial, b, i, j, d, each,
        *(coupling.stride() if coupling is not None else (0, 0, 0)),
        *(grad_coupling.stride() if grad_coupling is not None else (0, 0, 0)),
        C=c, LEAKY=leaky, BACKWARD=change is not None, DIRECT=grad_coupling is not None, KEEP=coupling is not None,
        SAMPLES=_SAMPLES, PARENTS=triton.next_power_of_2(j), DIM=triton.next_power_of_2(d),
    )  # fmt: skip
    torch.sum(partial, 0, out=out)


def _add_gradients(
    poses: Tensor, weight: Tensor, factors: Tensor, vectors: Tensor, grad_poses: Tensor, grad_weight: Tensor
) -> None:
    b, i, c = poses.shape
    _, _, j, d = weight.shape
    more_poses, more_weight = torch.empty_like(poses), torch.empty_like(weight)
    _gradients[(i,)](
        poses, weight, factors, vectors, more_poses, more_weight, b, i, j, d, c,
        PAIRS=len(factors), C=triton.next_power_of_2(c), PARENTS=triton.next_power_of_2(j),
        DIM=triton.next_power_of_2(d),
    )  # fmt: skip
    grad_poses += more_poses
    grad_weight += more_weight

"""The programs of fused dynamic routing on a GPU, in Triton; `triton.py` in this folder starts them.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Procedure 1; the derivation, the names and the
memory traffic are in README.md of this folder.
"""

import inspect
from collections.abc import Callable

import triton
import triton.language as tl


def _jit(function: Callable[..., object]) -> triton.JITFunction:
    """Compile a kernel from its own source, also where a type checker has wrapped it: the wrapper knows no `tl`."""
    return triton.jit(inspect.unwrap(function))


@_jit
def _squash_parts(x):
    """Vectors `b j d` in units of their largest entry, their norm in that unit, and the unit."""
    unit = tl.maximum(tl.max(tl.abs(x), 2), 1.0)[:, :, None]
    y = x / unit
    return y, tl.sqrt(tl.sum(y * y, 2) + 1e-20)[:, :, None], unit


@_jit
def _squash(x):
    y, norm, unit = _squash_parts(x)
    share = 1.0 / unit
    return y * (norm / (share * share + norm * norm))


@_jit
def _squash_gradient(x, grad):
    """Multiply `grad` with the derivative of `_squash(x)`, in the same safe units."""
    y, norm, unit = _squash_parts(x)
    share = 1.0 / unit
    below = share * share + norm * norm
    along = tl.sum(y * grad, 2)[:, :, None] * (share * share - norm * norm) / (norm * below * below)
    return (grad * norm / below + y * along) * share


@_jit
def _product(a, b, total, PRECISION: tl.constexpr):
    """Add the product of matrices, one for each entry of the first axis, to `total` in float32 (float64 in float64)."""
    return tl.dot(a, b, total, input_precision=PRECISION, out_dtype=total.dtype)


@_jit
def _agreement(vectors, matrices, u, PRECISION: tl.constexpr, C: tl.constexpr):
    """Pull parents' vectors `j b d` back through the matrices `j gc d`, to `j b gc`; times votes they are `j b g`."""
    zeros = tl.zeros([vectors.shape[0], vectors.shape[1], matrices.shape[1]], u.dtype)
    pulled = _product(vectors, tl.permute(matrices, (0, 2, 1)), zeros, PRECISION)
    rows: tl.constexpr = pulled.shape[2]
    parts = tl.reshape(pulled * u[None, :, :], (pulled.shape[0], pulled.shape[1], rows // C, C))
    return pulled, tl.sum(parts, 3)


@_jit
def _repeat(factor, C: tl.constexpr):
    """Give each entry of a child's pose the child's factor: `j b g` to `j b gc`."""
    shape: tl.constexpr = factor.shape
    wide = tl.broadcast_to(factor[:, :, :, None], (shape[0], shape[1], shape[2], C))
    return tl.reshape(wide, (shape[0], shape[1], shape[2] * C))


@_jit
def _stable_sum(logits, LEAKY: tl.constexpr):
    """The largest logit of `j b g`, the shares in units of its exponential, and their sum; leaky: with a logit 0."""
    top = tl.max(logits, 0)
    if LEAKY:
        top = tl.maximum(top, 0.0)
    share = tl.exp(logits - top[None, :, :])
    whole = tl.sum(share, 0)
    if LEAKY:
        whole += tl.exp(-top)
    return top, share, whole


@_jit
def _share(logits, tops, wholes, at, inside, LEAKY: tl.constexpr, BLOCKS: tl.constexpr):
    """The coupling of `logits`, by what `measure_softmax` stored if the parents are in several blocks: `j b g`."""
    if BLOCKS > 1:
        share = tl.exp(logits - tl.load(tops + at, inside, 0.0)[None, :, :])
        whole = tl.load(wholes + at, inside, 1.0)
    else:
        _, share, whole = _stable_sum(logits, LEAKY)
    return share / whole[None, :, :]


@_jit
def _write(to, values, inside, ADD: tl.constexpr):
    """Store values, or add them to those that are stored."""
    if ADD:
        values += tl.load(to, inside, 0.0)
    tl.store(to, values, inside)


@_jit
def measure_softmax(
    poses, weight, reached, grad_total, grad_coupling, tops, wholes, means,
    samples, from_b, from_i, from_j, children: tl.constexpr, parents: tl.constexpr, dim: tl.constexpr,
    child_dim: tl.constexpr, LEAKY: tl.constexpr, BACKWARD: tl.constexpr, DIRECT: tl.constexpr, PRECISION: tl.constexpr,
    B: tl.constexpr, G: tl.constexpr, C: tl.constexpr, J: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Of more parents than one program holds: largest logit, sum of exponentials, and mean gradient of each child."""
    row, start = tl.program_id(0).to(tl.int64) * B, tl.program_id(1).to(tl.int64) * G
    b, g, gc, d = tl.arange(0, B), tl.arange(0, G), tl.arange(0, G * C), tl.arange(0, D)
    in_b, in_g, in_d = row + b < samples, start + g < children, d < dim
    in_rows = (start + gc // C < children) & (gc % C < child_dim)
    at_u = b[:, None] * children * child_dim + (gc // C * child_dim + gc % C)[None, :]
    u = tl.load(poses + (row * children + start) * child_dim + at_u, in_b[:, None] & in_rows[None, :], 0.0)
    if LEAKY:
        top, whole = tl.zeros([B, G], u.dtype), tl.zeros([B, G], u.dtype) + 1.0
    else:
        top, whole = tl.full([B, G], float("-inf"), u.dtype), tl.zeros([B, G], u.dtype)
    mean = tl.zeros([B, G], u.dtype)
    for block in range(0, tl.cdiv(parents, J)):
        j = block * J + tl.arange(0, J)
        in_j = j < parents
        at_w = ((gc // C * child_dim + gc % C)[None, :, None] * parents + j[:, None, None]) * dim + d[None, None, :]
        in_w = in_j[:, None, None] & in_rows[None, :, None] & in_d[None, None, :]
        w = tl.load(weight + start * child_dim * parents * dim + at_w, in_w, 0.0)
        at = row * parents * dim + (b[None, :, None] * parents + j[:, None, None]) * dim + d[None, None, :]
        in_at = in_j[:, None, None] & in_b[None, :, None] & in_d[None, None, :]
        _, logits = _agreement(tl.load(reached + at, in_at, 0.0).to(w.dtype), w, u, PRECISION, C)
        logits = tl.where(in_j[:, None, None], logits, float("-inf"))
        new = tl.maximum(top, tl.max(logits, 0))
        share = tl.exp(logits - new[None, :, :])
        old = tl.exp(top - new)
        whole = whole * old + tl.sum(share, 0)
        if BACKWARD:
            _, grad = _agreement(tl.load(grad_total + at, in_at, 0.0).to(w.dtype), w, u, PRECISION, C)
            if DIRECT:
                direct = grad_coupling + row * from_b + start * from_i
                at_bg = b[None, :, None] * from_b + g[None, None, :] * from_i + j[:, None, None] * from_j
                in_bg = in_j[:, None, None] & in_b[None, :, None] & in_g[None, None, :]
                grad += tl.load(direct + at_bg, in_bg, 0.0).to(u.dtype)
            mean = mean * old + tl.sum(share * grad, 0)
        top = new
    to = row * children + start + b[:, None] * children + g[None, :]
    inside = in_b[:, None] & in_g[None, :]
    tl.store(tops + to, top, inside)
    tl.store(wholes + to, whole, inside)
    if BACKWARD:
        tl.store(means + to, mean / whole, inside)


@_jit
def iterate(
    poses, weight, reached, tops, wholes, coupling, partial,
    samples, each, to_b, to_i, to_j, children: tl.constexpr, parents: tl.constexpr, dim: tl.constexpr,
    child_dim: tl.constexpr, LEAKY: tl.constexpr, KEEP: tl.constexpr, BLOCKS: tl.constexpr, PRECISION: tl.constexpr,
    B: tl.constexpr, G: tl.constexpr, C: tl.constexpr, J: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Sum the votes of some children, each times its coupling: one iteration, from `reached`, V_j."""
    row, j = tl.program_id(0).to(tl.int64) * B, tl.program_id(2) * J + tl.arange(0, J)
    b, g, gc, d = tl.arange(0, B), tl.arange(0, G), tl.arange(0, G * C), tl.arange(0, D)
    in_b, in_j, in_d = row + b < samples, j < parents, d < dim
    at_u = b[:, None] * children * child_dim + (gc // C * child_dim + gc % C)[None, :]
    at_w = ((gc // C * child_dim + gc % C)[None, :, None] * parents + j[:, None, None]) * dim + d[None, None, :]
    at = row * parents * dim + (b[None, :, None] * parents + j[:, None, None]) * dim + d[None, None, :]
    in_at = in_j[:, None, None] & in_b[None, :, None] & in_d[None, None, :]
    vectors = tl.load(reached + at, in_at, 0.0).to(weight.dtype.element_ty)
    total = tl.zeros([J, B, D], poses.dtype.element_ty)
    first = tl.program_id(1).to(tl.int64) * each
    for start in range(first, tl.minimum(first + each, children), G):
        in_rows = (start + gc // C < children) & (gc % C < child_dim)
        in_w = in_j[:, None, None] & in_rows[None, :, None] & in_d[None, None, :]
        w = tl.load(weight + start * child_dim * parents * dim + at_w, in_w, 0.0)
        u = tl.load(poses + (row * children + start) * child_dim + at_u, in_b[:, None] & in_rows[None, :], 0.0)
        _, logits = _agreement(vectors, w, u, PRECISION, C)
        logits = tl.where(in_j[:, None, None], logits, float("-inf"))
        in_bg = in_b[:, None] & (start + g < children)[None, :]
        at_bg = row * children + start + b[:, None] * children + g[None, :]
        share = _share(logits, tops, wholes, at_bg, in_bg, LEAKY, BLOCKS)
        if KEEP:
            to = coupling + row * to_b + start * to_i
            at_bgj = b[None, :, None] * to_b + g[None, None, :] * to_i + j[:, None, None] * to_j
            tl.store(to + at_bgj, share, in_j[:, None, None] & in_bg[None, :, :])
        total = _product((_repeat(share, C) * u[None, :, :]).to(w.dtype), w, total, PRECISION)
    tl.store(partial + tl.program_id(1).to(tl.int64) * samples * parents * dim + at, total, in_at)


@_jit
def gradients(
    poses, weight, reached, grad_total, grad_coupling, tops, wholes, means, partial, grad_poses, grad_weight,
    samples, each, rows, from_b, from_i, from_j, children: tl.constexpr, parents: tl.constexpr, dim: tl.constexpr,
    child_dim: tl.constexpr, LEAKY: tl.constexpr, FULL: tl.constexpr, DIRECT: tl.constexpr, ADD: tl.constexpr,
    BLOCKS: tl.constexpr, PRECISION: tl.constexpr,
    B: tl.constexpr, G: tl.constexpr, C: tl.constexpr, J: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Gradients of one iteration to some children's poses and matrices, and those votes' share in `agreed`."""
    j = tl.program_id(2) * J + tl.arange(0, J)
    b, g, gc, d = tl.arange(0, B), tl.arange(0, G), tl.arange(0, G * C), tl.arange(0, D)
    in_j, in_d = j < parents, d < dim
    at_u = b[:, None] * children * child_dim + (gc // C * child_dim + gc % C)[None, :]
    at_w = ((gc // C * child_dim + gc % C)[None, :, None] * parents + j[:, None, None]) * dim + d[None, None, :]
    at = (b[None, :, None] * parents + j[:, None, None]) * dim + d[None, None, :]
    first, first_row = tl.program_id(0).to(tl.int64) * each, tl.program_id(1).to(tl.int64) * rows
    to_partial = partial + tl.program_id(0).to(tl.int64) * samples * parents * dim
    to_u = grad_poses + tl.program_id(2).to(tl.int64) * samples * children * child_dim
    to_w = grad_weight + tl.program_id(1).to(tl.int64) * children * child_dim * parents * dim
    for start in range(first, tl.minimum(first + each, children), G):
        in_rows = (start + gc // C < children) & (gc % C < child_dim)
        in_w = in_j[:, None, None] & in_rows[None, :, None] & in_d[None, None, :]
        w = tl.load(weight + start * child_dim * parents * dim + at_w, in_w, 0.0)
        grad_w = tl.zeros([J, G * C, D], poses.dtype.element_ty)
        # samples whose sum over the children before these is in `partial`
        begun = tl.where(start > first, samples, 0)
        for row in range(first_row, tl.minimum(first_row + rows, samples), B):
            in_b = row + b < samples
            in_u, in_bg = in_b[:, None] & in_rows[None, :], in_b[:, None] & (start + g < children)[None, :]
            in_at = in_j[:, None, None] & in_b[None, :, None] & in_d[None, None, :]
            u = tl.load(poses + (row * children + start) * child_dim + at_u, in_u, 0.0)
            v = tl.load(reached + row * parents * dim + at, in_at, 0.0).to(w.dtype)
            pulled_v, logits = _agreement(v, w, u, PRECISION, C)
            logits = tl.where(in_j[:, None, None], logits, float("-inf"))
            at_bg = row * children + start + b[:, None] * children + g[None, :]
            share = _share(logits, tops, wholes, at_bg, in_bg, LEAKY, BLOCKS)
            grad_s = tl.load(grad_total + row * parents * dim + at, in_at, 0.0).to(w.dtype)
            pulled_s, grad = _agreement(grad_s, w, u, PRECISION, C)
            factor = _repeat(share, C)
            grad_u = tl.sum(factor * pulled_s, 0)
            moved = (factor * u[None, :, :]).to(w.dtype)
            # vectors are read again: held in between, they would not leave registers for all
            grad_s = tl.load(grad_total + row * parents * dim + at, in_at, 0.0).to(w.dtype)
            grad_w = _product(tl.permute(moved, (0, 2, 1)), grad_s, grad_w, PRECISION)
            if FULL:
                if DIRECT:
                    direct = grad_coupling + row * from_b + start * from_i
                    at_bgj = b[None, :, None] * from_b + g[None, None, :] * from_i + j[:, None, None] * from_j
                    grad += tl.load(direct + at_bgj, in_j[:, None, None] & in_bg[None, :, :], 0.0).to(u.dtype)
                mean = tl.load(means + at_bg, in_bg, 0.0) if BLOCKS > 1 else tl.sum(share * grad, 0)
                factor = _repeat(share * (grad - mean[None, :, :]), C)
                grad_u += tl.sum(factor * pulled_v, 0)
                moved = (factor * u[None, :, :]).to(w.dtype)
                to = to_partial + row * parents * dim + at
                agreed = tl.load(to, in_at & (row + b < begun)[None, :, None], 0.0)
                tl.store(to, _product(moved, w, agreed, PRECISION), in_at)
                v = tl.load(reached + row * parents * dim + at, in_at, 0.0).to(w.dtype)
                grad_w = _product(tl.permute(moved, (0, 2, 1)), v, grad_w, PRECISION)
            _write(to_u + (row * children + start) * child_dim + at_u, grad_u, in_u, ADD)
        # other threads of the program read what these have written to `partial`
        tl.debug_barrier()
        _write(to_w + start * child_dim * parents * dim + at_w, grad_w, in_w, ADD)


@_jit
def _add_parts(partial, at, inside, parts, size, PARTS: tl.constexpr):
    """Add the arrays of `size` numbers that the programs of a kernel left, always in the same order: `1 j d`."""
    part = tl.arange(0, PARTS)[:, None, None]
    total = tl.zeros(at.shape, partial.dtype.element_ty)
    for first in range(0, parts, PARTS):
        some = (first + part).to(tl.int64)
        total += tl.sum(tl.load(partial + some * size + at, inside & (some < parts), 0.0), 0)[None, :, :]
    return total


@_jit
def finish_forward(
    partial, bias, total, reached, poses, parts, size, ways,
    FIRST: tl.constexpr, LAST: tl.constexpr, BIAS: tl.constexpr, PARTS: tl.constexpr,
    parents: tl.constexpr, dim: tl.constexpr, J: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """End an iteration: s_j is the sum of the parts, shared among `ways`, and the bias; its squash joins `reached`."""
    b, j, d = tl.program_id(0).to(tl.int64), tl.program_id(1) * J + tl.arange(0, J), tl.arange(0, D)
    at_jd = (j[:, None] * dim + d[None, :])[None, :, :]
    inside = ((j[:, None] < parents) & (d[None, :] < dim))[None, :, :]
    at = b * parents * dim + at_jd
    x = _add_parts(partial, at, inside, parts, size, PARTS) / ways
    if BIAS:
        x += tl.load(bias + at_jd, inside, 0.0).to(x.dtype)
    tl.store(total + at, x, inside)
    pose = _squash(x)
    if LAST:
        tl.store(poses + at, pose, inside)
    else:
        if not FIRST:
            pose += tl.load(reached + at, inside, 0.0)
        tl.store(reached + at, pose, inside)


@_jit
def begin_backward(
    totals, grad_poses, reached, grad_total, iterations, size,
    parents: tl.constexpr, dim: tl.constexpr, J: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Compute `reached` of all iterations again, and the gradient of the last s_j."""
    b, j, d = tl.program_id(0).to(tl.int64), tl.program_id(1) * J + tl.arange(0, J), tl.arange(0, D)
    inside = ((j[:, None] < parents) & (d[None, :] < dim))[None, :, :]
    at = b * parents * dim + (j[:, None] * dim + d[None, :])[None, :, :]
    x = tl.load(totals + at, inside, 0.0)
    so_far = tl.zeros_like(x)
    for step in range(1, iterations):
        so_far += _squash(x)
        tl.store(reached + step * size + at, so_far, inside)
        x = tl.load(totals + step * size + at, inside, 0.0)
    grad = tl.load(grad_poses + at, inside, 0.0).to(x.dtype)
    tl.store(grad_total + at, _squash_gradient(x, grad), inside)


@_jit
def finish_backward(
    partial, total, agreed, grad_total, parts, size,
    FIRST: tl.constexpr, PARTS: tl.constexpr,
    parents: tl.constexpr, dim: tl.constexpr, J: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """From the gradients of all later logits to that of this iteration's pose, `agreed`, and to that of its s_j."""
    b, j, d = tl.program_id(0).to(tl.int64), tl.program_id(1) * J + tl.arange(0, J), tl.arange(0, D)
    inside = ((j[:, None] < parents) & (d[None, :] < dim))[None, :, :]
    at = b * parents * dim + (j[:, None] * dim + d[None, :])[None, :, :]
    grad = _add_parts(partial, at, inside, parts, size, PARTS)
    if not FIRST:
        grad += tl.load(agreed + at, inside, 0.0)
    tl.store(agreed + at, grad, inside)
    tl.store(grad_total + at, _squash_gradient(tl.load(total + at, inside, 0.0), grad), inside)

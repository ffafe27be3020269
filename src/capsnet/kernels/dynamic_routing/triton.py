"""Fused dynamic routing on a GPU, in Triton: products on tensor cores, gradients within the backward pass.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Procedure 1; the derivation, the names and the
memory traffic are in README.md of this folder.
"""

import torch
import triton
from torch import Tensor

from capsnet.kernels.dynamic_routing import triton_kernels as kernels

# programs that run at once on a large GPU, one on a multiprocessor: they decide the order of sums, so no GPU is asked
_PROGRAMS = 132
# what a program holds at a time: samples, rows (child, child dim) of matrices, and numbers of those rows' matrices;
# chosen so that nothing spills at the paper's size and shared memory stays below 99 KB
_SAMPLES, _ROWS, _MATRIX = 16, 16, 4096
# partial sums that are added at a time
_PARTS, _WARPS = 16, 8


class _Cut:
    """How a call is cut into programs: sizes, what one program holds at a time, and what it walks over."""

    def __init__(self, poses: Tensor, weight: Tensor) -> None:
        self.samples, self.children, child_dim = poses.shape
        self.parents, dim = weight.shape[2:]
        width, rows = max(16, triton.next_power_of_2(dim)), triton.next_power_of_2(child_dim)
        self.group = max(1, _ROWS // rows)
        most = _MATRIX // 2 if weight.dtype == torch.float64 else _MATRIX
        held = min(triton.next_power_of_2(self.parents), max(1, most // (width * self.group * rows)))
        self.blocks = triton.cdiv(self.parents, held)
        self.sample_blocks, self.groups = triton.cdiv(self.samples, _SAMPLES), triton.cdiv(self.children, self.group)
        self.vectors = {"parents": self.parents, "dim": dim, "J": held, "D": width, "enable_fp_fusion": True}
        tile = {"children": self.children, "child_dim": child_dim, "B": _SAMPLES, "G": self.group, "C": rows}
        self.pairs = {**tile, **self.vectors, "num_warps": _WARPS, "num_stages": 1}

    def split_children(self, beside: int, programs: int) -> tuple[int, int]:
        """Children per program, and the number of programs along this axis, given the number of parallel ones."""
        each = _share(self.groups, programs // beside) * self.group
        return each, triton.cdiv(self.children, each)

    def split_samples(self, beside: int, programs: int) -> tuple[int, int]:
        """Samples per program, and the number of programs along this axis, given the number of parallel ones."""
        each = _share(self.sample_blocks, programs // beside) * _SAMPLES
        return each, triton.cdiv(self.samples, each)


def _share(pieces: int, programs: int) -> int:
    return int(triton.cdiv(pieces, max(1, min(pieces, programs))))


def product_type(wide: torch.dtype) -> tuple[torch.dtype, str]:
    """The type in which products are formed, and how Triton forms them; sums are always float32 (float64 in float64).

    In float32 this follows `torch.set_float32_matmul_precision`, as all matrix products of PyTorch do: "highest" splits
    each number into three of TF32, which together are as exact; "high" is TF32; "medium" is bfloat16.
    """
    if wide == torch.float64:
        return wide, "ieee"
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:
        # set through torch.backends.cuda.matmul.fp32_precision, which the older question refuses; it has no bfloat16
        precision = "high" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "highest"
    if precision == "medium":
        return torch.bfloat16, "ieee"
    return wide, "tf32x3" if precision == "highest" else "tf32"


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
    kind, precision = product_type(u.dtype)
    narrow, reached = w.to(kind), torch.empty_like(totals[0])
    cut, ways, last = _Cut(u, narrow), w.shape[2] + leaky, len(totals) - 1
    # two fit on a multiprocessor in half precision
    fit = _PROGRAMS * (2 if kind.itemsize == 2 else 1)
    each, splits = cut.split_children(cut.sample_blocks * cut.blocks, fit)
    for step, total in enumerate(totals):
        if step == 0:
            partial = (u.flatten(1) @ w.flatten(0, 1).flatten(1)).view(1, *total.shape)
        else:
            tops, wholes, _ = _measure(cut, u, narrow, reached, leaky, precision)
            partial = u.new_empty(splits, *total.shape)
            kernels.iterate[cut.sample_blocks, splits, cut.blocks](
                u, narrow, reached, tops, wholes, coupling, partial, cut.samples, each, *coupling.stride(),
                LEAKY=leaky, KEEP=step == last, BLOCKS=cut.blocks, PRECISION=precision, **cut.pairs,
            )  # fmt: skip
        kernels.finish_forward[cut.samples, cut.blocks](
            partial, total if bias is None else bias.contiguous(), total, reached, parents,
            len(partial), total.numel(), ways if step == 0 else 1,
            FIRST=step == 0, LAST=step == last, BIAS=bias is not None, PARTS=_PARTS, **cut.vectors,
        )  # fmt: skip
    if last == 0:
        coupling.fill_(1 / ways)


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
    kind, precision = product_type(u.dtype)
    narrow, reached, grad_totals = w.to(kind), torch.empty_like(totals), torch.empty_like(totals)
    cut, ways, last = _Cut(u, narrow), w.shape[2] + leaky, len(totals) - 1
    agreed = torch.empty_like(totals[0])
    kernels.begin_backward[cut.samples, cut.blocks](
        totals, grad_parents.contiguous(), reached, grad_totals[last], len(totals), totals[0].numel(),
        **cut.vectors,
    )  # fmt: skip
    each, programs = cut.split_children(cut.blocks, _PROGRAMS)
    rows, splits = cut.split_samples(programs * cut.blocks, _PROGRAMS)
    grad_u, grad_w = u.new_empty(cut.blocks, *u.shape), w.new_empty(splits, *w.shape)
    partial = u.new_empty(programs if full and last else 0, *agreed.shape)
    first = 0 if full else last
    for step in range(last, max(first, 1) - 1, -1):
        direct = grad_coupling if step == last else None
        _launch_gradients(
            cut, (u, narrow, reached[step], grad_totals[step]), direct, partial, (grad_u, grad_w), each, rows,
            leaky=leaky, full=full, add=step < last, precision=precision,
        )  # fmt: skip
        if full:
            kernels.finish_backward[cut.samples, cut.blocks](
                partial, totals[step - 1], agreed, grad_totals[step - 1], programs, agreed.numel(),
                FIRST=step == last, PARTS=_PARTS, **cut.vectors,
            )  # fmt: skip
    whole_u, whole_w = (_sum(grad_u), _sum(grad_w)) if last else (torch.zeros_like(u), torch.zeros_like(w))
    if first == 0:
        # the uniform coupling is a constant: two matrix products
        share = grad_totals[0].flatten(1) / ways
        matrix = w.flatten(0, 1).flatten(1)
        whole_u.flatten(1).addmm_(share, matrix.t())
        whole_w.flatten(0, 1).flatten(1).addmm_(u.flatten(1).t(), share)
    for to, grad in zip(grads, (whole_u, whole_w, grad_totals[first:].sum((0, 1))), strict=True):
        to.copy_(grad)


def _sum(parts: Tensor) -> Tensor:
    return parts[0] if len(parts) == 1 else parts.sum(0)


def _measure(
    cut: _Cut,
    poses: Tensor,
    weight: Tensor,
    reached: Tensor,
    leaky: bool,
    precision: str,
    grad_total: Tensor | None = None,
    grad_coupling: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """What a program must know of the parents that others hold; nothing where one holds them all."""
    if cut.blocks == 1:
        return poses, poses, poses
    tops, wholes, means = poses.new_empty(3, cut.samples, cut.children)
    kernels.measure_softmax[cut.sample_blocks, cut.groups](
        poses, weight, reached,
        reached if grad_total is None else grad_total,
        reached if grad_coupling is None else grad_coupling,
        tops, wholes, means, cut.samples, *((0, 0, 0) if grad_coupling is None else grad_coupling.stride()),
        LEAKY=leaky, BACKWARD=grad_total is not None, DIRECT=grad_coupling is not None, PRECISION=precision,
        **cut.pairs,
    )  # fmt: skip
    return tops, wholes, means


def _launch_gradients(
    cut: _Cut,
    inputs: tuple[Tensor, Tensor, Tensor, Tensor],
    grad_coupling: Tensor | None,
    partial: Tensor,
    grads: tuple[Tensor, Tensor],
    each: int,
    rows: int,
    *,
    leaky: bool,
    full: bool,
    add: bool,
    precision: str,
) -> None:
    poses, weight, reached, grad_total = inputs
    sums = _measure(cut, poses, weight, reached, leaky, precision, grad_total if full else None, grad_coupling)
    direct = reached if grad_coupling is None else grad_coupling
    kernels.gradients[triton.cdiv(cut.children, each), len(grads[1]), cut.blocks](
        poses, weight, reached, grad_total, direct, *sums, partial, *grads, cut.samples, each, rows,
        *((0, 0, 0) if grad_coupling is None else grad_coupling.stride()),
        LEAKY=leaky, FULL=full, DIRECT=grad_coupling is not None, ADD=add, BLOCKS=cut.blocks, PRECISION=precision,
        **cut.pairs,
    )  # fmt: skip

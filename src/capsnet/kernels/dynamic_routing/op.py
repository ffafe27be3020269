"""The fused dynamic routing as torch operators: one node for torch.compile and torch.export, with its derivative.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Procedure 1.

`totals` are the vectors s_j of every iteration, bias included, which the backward starts from: `r b j d`.
"""

import functools
import importlib
import importlib.util
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from capsnet.errors import UserError
from capsnet.kernels import native
from capsnet.kernels.dynamic_routing import cpu, native_cpu
from capsnet.torch_internals import constant, intercepts_operations

# logarithm to base 2 of the numbers in the largest matrix that fits
_LARGEST_MATRIX = 12
# CUDA's limit for all axes of a grid of programs but the first
_LARGEST_GRID = 65_535


@functools.cache
def has_triton() -> bool:
    """Whether Triton can be imported, without importing it."""
    return importlib.util.find_spec("triton") is not None


@constant
def runs_in_c(dtype: torch.dtype) -> bool:
    """Whether a call on a CPU runs in C: float64 does not, and nothing without a compiler."""
    return dtype != torch.float64 and native.refuses(native_cpu.SOURCE) is None


def cuda_refusal(poses: Tensor, weight: Tensor) -> str | None:
    """The reason why the Triton kernels do not support a call; None if they do."""
    if not has_triton():
        return "Triton is not installed"
    # no GPU: the tensors hold no data, as under torch.export
    if torch.cuda.is_available() and torch.cuda.get_device_properties(poses.device).major < 8:
        return "the GPU is older than compute capability 8.0, whose tensor cores it needs"
    width, rows = ((size - 1).bit_length() for size in (weight.shape[3], weight.shape[1]))
    if max(width, 4) + max(rows, 4) > _LARGEST_MATRIX:
        return f"matrices of {weight.shape[1]} x {weight.shape[3]} numbers do not fit one program on a GPU"
    # parents and children of one program; children have an axis of the grid only beside several blocks of parents
    held = max(1, 2**_LARGEST_MATRIX >> (max(width, 4) + max(rows, 4) + (weight.dtype == torch.float64)))
    group = max(1, 16 >> rows)
    children, parents = weight.shape[0], weight.shape[2]
    if parents > held * _LARGEST_GRID or (parents > held and children > group * _LARGEST_GRID):
        return f"{children} children and {parents} parents need more programs than a GPU can number"
    return None


@torch.library.custom_op("capsnet::dynamic_routing", mutates_args=())
def forward(
    poses: Tensor, weight: Tensor, bias: Tensor | None, iterations: int, leaky: bool, full: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Find poses `b j d` of the parents, the coupling `b i j` of the last iteration, and `totals`."""
    # on a CPU this does nothing
    with torch.cuda.device_of(poses):
        return compute(poses, weight, bias, iterations, leaky)


def compute(
    poses: Tensor, weight: Tensor, bias: Tensor | None, iterations: int, leaky: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The results of `forward` without the operator, whose first call loads the compiler, which takes seconds."""
    outputs = _new_outputs(poses, weight, iterations)
    # autocast would halve the products in the middle of the algorithm
    with torch.autocast(poses.device.type, enabled=False):
        _implementation(poses).forward(poses, weight, bias, leaky, *outputs)
    return outputs


def needs_operator(tensors: list[Tensor]) -> bool:
    """Whether PyTorch has to know of a call: for a gradient, a graph, a GPU, or tensors that are not simply memory."""
    return (
        torch.compiler.is_compiling()
        or intercepts_operations()
        or any(type(tensor) not in (Tensor, torch.nn.Parameter) or not tensor.is_cpu for tensor in tensors)
        or (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors))
    )


@torch.library.custom_op("capsnet::dynamic_routing_backward", mutates_args=())
def backward(
    poses: Tensor,
    weight: Tensor,
    totals: Tensor,
    grad_parents: Tensor,
    grad_coupling: Tensor | None,
    leaky: bool,
    full: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Find the gradients of `poses`, `weight` and `bias`."""
    grads = _new_grads(poses, weight)
    with torch.cuda.device_of(poses), torch.autocast(poses.device.type, enabled=False):
        _implementation(poses).backward(poses, weight, totals, grad_parents, grad_coupling, leaky, full, grads)
    return grads


@forward.register_fake
def _(
    poses: Tensor, weight: Tensor, bias: Tensor | None, iterations: int, leaky: bool, full: bool
) -> tuple[Tensor, Tensor, Tensor]:
    return _new_outputs(poses, weight, iterations)


@backward.register_fake
def _(
    poses: Tensor,
    weight: Tensor,
    totals: Tensor,
    grad_parents: Tensor,
    grad_coupling: Tensor | None,
    leaky: bool,
    full: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return _new_grads(poses, weight)


def _implementation(poses: Tensor) -> ModuleType:
    if poses.is_cuda:
        # Triton is heavy, and not everywhere
        return importlib.import_module("capsnet.kernels.dynamic_routing.triton")
    return native_cpu if runs_in_c(poses.dtype) else cpu


def _new_outputs(poses: Tensor, weight: Tensor, iterations: int) -> tuple[Tensor, Tensor, Tensor]:
    b, i, _ = poses.shape
    _, _, j, d = weight.shape
    wide = torch.promote_types(poses.dtype, torch.float32)
    parents = poses.new_empty(b, j, d)
    totals = poses.new_empty(iterations, b, j, d, dtype=wide)
    if poses.is_cuda:
        return parents, poses.new_empty(b, i, j), totals
    # on a CPU images are the innermost axis, see README.md
    return parents, poses.new_empty(j, i, b).permute(2, 1, 0), totals


def _new_grads(poses: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return poses.new_empty(poses.shape), weight.new_empty(weight.shape), weight.new_empty(weight.shape[2:])


def _setup(
    ctx: Any,
    inputs: tuple[Tensor, Tensor, Tensor | None, int, bool, bool],
    output: tuple[Tensor, Tensor, Tensor],
) -> None:
    poses, weight, bias, iterations, leaky, full = inputs
    ctx.leaky, ctx.full, ctx.has_bias = leaky, full, bias is not None
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(poses, weight, output[2])
    constants = output[2:] if full and iterations > 1 else output[1:]
    ctx.mark_non_differentiable(*constants)


def _derivative(
    ctx: Any, grad_parents: Tensor | None, grad_coupling: Tensor | None, _: Tensor | None
) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None, None]:
    poses, weight, totals = ctx.saved_tensors
    if grad_parents is None and grad_coupling is None:
        return None, None, None, None, None, None
    if grad_parents is None:
        grad_parents = torch.zeros_like(totals[0], dtype=poses.dtype)
    grads = backward(poses, weight, totals, grad_parents, grad_coupling, ctx.leaky, ctx.full)
    return grads[0], grads[1], grads[2] if ctx.has_bias else None, None, None, None


def _no_second_derivative(ctx: object, *grads: Tensor | None) -> None:
    raise UserError(
        "fused dynamic routing has no second derivative: use capsnet.routing.dynamic_routing, "
        "or put the forward pass in `with capsnet.kernels.use('plain')`"
    )


forward.register_autograd(_derivative, setup_context=_setup)
backward.register_autograd(_no_second_derivative)

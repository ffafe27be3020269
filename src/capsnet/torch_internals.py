"""All uses of PyTorch's private interfaces, each with its purpose.

Check this file after an upgrade of PyTorch. Public equivalents do not exist, or load the compiler, which takes two
seconds.
"""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode  # training/memory.py intercepts calls

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T", bound=Tensor)

softmax_gradient = torch.ops.aten._softmax_backward_data.out
"""Softmax gradient from its result, with `out=`, which autograd does not offer (kernels/dynamic_routing)."""


DIGAMMA = torch.ops.prims.digamma.default, torch.ops.aten.digamma.default
"""What `torch.digamma` becomes in an exported graph; ONNX has none of it (interop/onnx_operators.py)."""


aten = torch.ops.aten
"""PyTorch's basic operations, which a tensor that stays in files intercepts (data/stored.py)."""


def is_tracing() -> bool:
    """Whether `torch.jit.trace` is active: it supports only PyTorch's operations, and no reading of tensor values."""
    return torch._C._get_tracing_state() is not None


def is_in_graph() -> bool:
    """Whether torch.compile or `torch.jit.trace` is active: they optimise operations themselves."""
    return torch.compiler.is_compiling() or is_tracing()


def exports_onnx() -> bool:
    """Whether a model is being exported to ONNX. torch.onnx is not imported for this: that takes 0.25 s."""
    return (torch.compiler.is_compiling() or "torch.onnx" in sys.modules) and torch.onnx.is_in_onnx_export()


def is_transformed(tensor: Tensor) -> bool:
    """Whether a tensor is wrapped by a `torch.func` transform, for which a kernel may have no rule."""
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def in_transform() -> bool:
    """Whether this code runs inside `vmap`, `grad` or another transform of `torch.func`.

    Autograd functions without the rules of the transforms, and kernels that read memory, must not be called there.
    """
    # a compiler traces through the transforms by itself
    return not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None


def intercepts_operations() -> bool:
    """Whether a dispatch mode, as that of tensors without memory, has to see every operation."""
    return torch._C._len_torch_dispatch_stack() > 0


def has_tangent(tensor: Tensor) -> bool:
    """Whether a tensor has a forward-mode tangent; unpacking outside a dual level would be an error."""
    return forward_ad._current_level >= 0 and forward_ad.unpack_dual(tensor).tangent is not None


def relu_gradient(gradient: Tensor, output: Tensor) -> Tensor:
    """Gradient of a ReLU's input from its output's, in one pass over memory (kernels/conv_relu.py)."""
    masked: Tensor = torch.ops.aten.threshold_backward(gradient, output, 0)
    return masked


def convolution_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, needed: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The needed gradients of a stride-1 convolution (image, weight, bias) in one call.

    `torch.nn.grad` computes them separately (kernels/conv_relu.py).
    """
    result: tuple[Tensor | None, Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
        gradient, x, weight, [len(weight)], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, list(needed)
    )
    return result


def constant(function: F) -> F:
    """Make torch.compile call a function at compile time and treat its result as a constant.

    `torch.compiler.assume_constant_result` does the same, but imports the compiler.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined] # the compiler reads it
    return function


def wrap_tensor(cls: type[T], shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> T:
    """A tensor of this subclass without memory of its own (data/stored.py)."""
    result: T = Tensor._make_wrapper_subclass(cls, tuple(shape), dtype=dtype, device=device)
    return result

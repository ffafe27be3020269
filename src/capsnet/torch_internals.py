"""Everything that this package uses of torch's private interfaces, in one place, each with what it is for.

After an upgrade of torch this is the file to check. Public equivalents do not exist, or load torch's compiler, which
takes two seconds.
"""

import sys
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode  # training/memory.py watches all calls

F = TypeVar("F", bound=Callable[..., object])

softmax_gradient = torch.ops.aten._softmax_backward_data.out
"""The gradient of a softmax from its result, into given memory: autograd has no such call (kernels/dynamic_routing)."""


DIGAMMA = torch.ops.prims.digamma.default, torch.ops.aten.digamma.default
"""What `torch.digamma` becomes in an exported graph; ONNX has none of it (interop/onnx_operators.py)."""


def is_tracing() -> bool:
    """Whether `torch.jit.trace` records: it knows only torch's own operations, and reading values breaks its record."""
    return torch._C._get_tracing_state() is not None


def is_in_graph() -> bool:
    """Whether torch.compile or `torch.jit.trace` records: they replace whole operations by themselves."""
    return torch.compiler.is_compiling() or is_tracing()


def exports_onnx() -> bool:
    """Whether a model is being exported to ONNX; torch.onnx is only asked if it is loaded, which takes 0.25 s."""
    return (torch.compiler.is_compiling() or "torch.onnx" in sys.modules) and torch.onnx.is_in_onnx_export()


def is_transformed(tensor: Tensor) -> bool:
    """Whether a tensor is one of `torch.func`'s transforms, for which a kernel may have no rule."""
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def in_transform() -> bool:
    """Whether this code runs inside `vmap`, `grad` or another transform of `torch.func`.

    Autograd functions without the rules of the transforms, and kernels that read memory, must not be called there.
    """
    # a compiler traces through the transforms by itself
    return not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None


def has_tangent(tensor: Tensor) -> bool:
    """Whether forward-mode derivatives are computed of a tensor; outside a dual level the question is an error."""
    return forward_ad._current_level >= 0 and forward_ad.unpack_dual(tensor).tangent is not None


def relu_gradient(gradient: Tensor, output: Tensor) -> Tensor:
    """The gradient before a ReLU, from that after it and its output, in one pass over memory (kernels/conv_relu.py)."""
    masked: Tensor = torch.ops.aten.threshold_backward(gradient, output, 0)
    return masked


def convolution_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, needed: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of a convolution of stride 1 in image, weight and bias, those that are needed at once.

    `torch.nn.grad` has them one by one, and sums the bias apart (kernels/conv_relu.py).
    """
    result: tuple[Tensor | None, Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
        gradient, x, weight, [len(weight)], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, list(needed)
    )
    return result


def constant(function: F) -> F:
    """Tell torch.compile not to look into a function, but to call it while compiling and keep its result.

    `torch.compiler.assume_constant_result` sets the same mark, but imports the compiler.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined] # the compiler reads it
    return function

"""Dynamic routing that never stores the votes: same function as `capsnet.routing.dynamic_routing` of `dense_votes`.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Eq. 2 and Procedure 1; the derivation of what
is computed here, forward and backward, is in README.md of this folder.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.bounds import check_iterations
from capsnet.capsules import RoutingOutput
from capsnet.errors import UserError
from capsnet.kernels.dynamic_routing import op
from capsnet.torch_internals import exports_onnx, has_tangent, is_tracing, is_transformed

__all__ = ["dynamic_routing", "refuses"]

# images are the vector axis on a CPU; break-even in C and without it, measured in README.md
_FEWEST_IN_C, _FEWEST = 3, 12


def dynamic_routing(
    poses: Float[Tensor, "b i c"],
    weight: Float[Tensor, "i c j d"],
    iterations: int = 3,
    *,
    bias: Float[Tensor, "j d"] | None = None,
    leaky: bool = False,
    gradient: Literal["full", "last"] = "full",
) -> RoutingOutput:
    r"""Route children to parents from their poses: votes $\hat u_{j|i} = W_{ij} u_i$, then Procedure 1.

    Poses, activations and coupling have the plain function's gradients to `poses`, `weight` and `bias`, once: there
    are no second derivatives.

    Args:
        poses: children u_i.
        weight: transformation matrices W_ij.
        iterations: the paper's r.
        bias: added to s_j before each squash.
        leaky: a child may also go to no parent.
        gradient: `"full"` through all iterations; `"last"` treats the coupling as a constant.

    Shapes:
        poses `b i c`, weight `i c j d`, bias `j d`; poses `b j d`, activations `b j`, coupling `b i j`.

    Raises:
        UserError: fewer than one iteration, an unknown `gradient`, or tensors that it cannot take.
    """
    check_iterations(iterations)
    if gradient not in ("full", "last"):
        raise UserError(f"gradient must be 'full' or 'last', got {gradient!r}")
    reason = _cannot(poses, weight, bias)
    if reason is not None:
        raise UserError(f"fused dynamic routing cannot take this call: {reason}; use capsnet.routing.dynamic_routing")
    if op.needs_operator([poses, weight] if bias is None else [poses, weight, bias]):
        parents, coupling, _ = op.forward(poses, weight, bias, iterations, leaky, gradient == "full")
    else:
        parents, coupling, _ = op.compute(poses, weight, bias, iterations, leaky)
    return RoutingOutput(parents, parents.norm(dim=-1), coupling)


def refuses(
    poses: Float[Tensor, "b i c"],
    weight: Float[Tensor, "i c j d"],
    iterations: int = 3,
    *,
    bias: Float[Tensor, "j d"] | None = None,
    leaky: bool = False,
    gradient: Literal["full", "last"] = "full",
) -> str | None:
    """The reason why a call is not supported; None if it is.

    Args: those of `dynamic_routing`.
    """
    reason = _cannot(poses, weight, bias)
    if reason is not None or poses.device.type != "cpu":
        return reason
    fewest = _FEWEST_IN_C if op.runs_in_c(poses.dtype) else _FEWEST
    if len(poses) < fewest:
        return f"the plain implementation is faster for fewer than {fewest} samples on a CPU"
    return None


def _cannot(
    poses: Float[Tensor, "b i c"], weight: Float[Tensor, "i c j d"], bias: Float[Tensor, "j d"] | None
) -> str | None:
    tensors = [poses, weight] if bias is None else [poses, weight, bias]
    reason = _refuses_values(tensors) or _refuses_shapes(poses, weight, bias)
    return reason or _refuses_context(tensors) or _refuses_device(poses, weight)


def _refuses_values(tensors: list[Tensor]) -> str | None:
    dtypes = {tensor.dtype for tensor in tensors}
    devices = {tensor.device for tensor in tensors}
    if len(devices) > 1:
        return f"its tensors are on several devices: {', '.join(sorted(map(str, devices)))}"
    if len(dtypes) > 1:
        return f"its tensors have several types: {', '.join(sorted(map(str, dtypes)))}"
    if not dtypes <= {torch.float16, torch.bfloat16, torch.float32, torch.float64}:
        return f"it does not support {next(iter(dtypes))}"
    if any(0 in tensor.shape for tensor in tensors):
        return "a tensor is empty"
    return None


def _refuses_shapes(poses: Tensor, weight: Tensor, bias: Tensor | None) -> str | None:
    """The kernels read memory by these shapes: what plain code would broadcast, or refuse, they would read beyond."""
    fit = poses.ndim == 3 and weight.ndim == 4 and poses.shape[1:] == weight.shape[:2]
    if fit and (bias is None or bias.shape == weight.shape[2:]):
        return None
    shapes = f"poses {tuple(poses.shape)}, weight {tuple(weight.shape)}"
    if bias is not None:
        shapes += f", bias {tuple(bias.shape)}"
    return f"it needs poses b i c, weight i c j d and bias j d, and the shapes are {shapes}"


def _refuses_context(tensors: list[Tensor]) -> str | None:
    if is_tracing() or exports_onnx():
        return "TorchScript and ONNX support only PyTorch's operations"
    if torch.compiler.is_compiling():
        return None
    if any(map(is_transformed, tensors)):
        return "it has no rule for the transforms of torch.func"
    if any(map(has_tangent, tensors)):
        return "it has no forward-mode derivative"
    return None


def _refuses_device(poses: Float[Tensor, "b i c"], weight: Float[Tensor, "i c j d"]) -> str | None:
    if poses.device.type not in ("cpu", "cuda"):
        return f"it has no implementation for {poses.device.type}"
    return op.cuda_refusal(poses, weight) if poses.is_cuda else None

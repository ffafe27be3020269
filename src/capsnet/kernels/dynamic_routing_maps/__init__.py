"""Dynamic routing of maps with places as the innermost axis: `capsnet.routing.dynamic_routing_maps`, on a CPU.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Procedure 1; the backward pass is derived in
README.md of this folder.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.functional import squash
from capsnet.kernels.once_differentiable import once_differentiable
from capsnet.torch_internals import exports_onnx, has_tangent, is_tracing, is_transformed

__all__ = ["dynamic_routing_maps", "refuses"]


def dynamic_routing_maps(
    votes: Float[Tensor, "b i j d p"],
    iterations: int = 3,
    *,
    bias: Float[Tensor, "j d"] | None = None,
    leaky: bool = False,
    gradient: Literal["full", "last"] = "full",
) -> Float[Tensor, "b j d p"]:
    """Route the children of each place by themselves. There are no second derivatives.

    Args: those of the plain function, for calls that `refuses` accepts.
    """
    result: Tensor = _Route.apply(votes.contiguous(), bias, iterations)
    return result


def refuses(
    votes: Float[Tensor, "b i j d p"],
    iterations: int = 3,
    *,
    bias: Float[Tensor, "j d"] | None = None,
    leaky: bool = False,
    gradient: Literal["full", "last"] = "full",
) -> str | None:
    """The reason why a call is not supported; None if it is.

    Args: those of `dynamic_routing_maps`.
    """
    tensors = [votes] if bias is None else [votes, bias]
    dtypes = {tensor.dtype for tensor in tensors}
    if leaky or gradient != "full":
        return "it supports neither leaky routing nor gradient='last'"
    if any(tensor.device.type != "cpu" for tensor in tensors):
        return "it is for CPUs"
    if len(dtypes) > 1 or not dtypes <= {torch.float32, torch.float64}:
        return f"it does not support {', '.join(sorted(map(str, dtypes)))}"
    if 0 in votes.shape:
        return "a tensor is empty"
    if is_tracing() or exports_onnx() or torch.compiler.is_compiling():
        return "compilers and exporters support only PyTorch's operations"
    if any(is_transformed(tensor) or has_tangent(tensor) for tensor in tensors):
        return "it has no rule for the transforms of torch.func and for forward-mode derivatives"
    return None


class _Route(torch.autograd.Function):
    """Poses `b j d p`; keeps votes, couplings and sums, but no product of them with votes."""

    @staticmethod
    def forward(ctx: Any, votes: Tensor, bias: Tensor | None, iterations: int) -> Tensor:
        parents = votes.shape[2]
        # with a single parent all coupling is 1 in every iteration
        ctx.iterations = iterations if parents > 1 else 1
        couplings: list[Tensor] = []
        totals: list[Tensor] = []
        poses: list[Tensor] = []
        logits: Tensor | None = None
        for step in range(ctx.iterations):
            if logits is None:
                total = votes.sum(dim=1).div_(parents)
            else:
                couplings.append(logits.softmax(dim=2))
                total = _weighted_sum(couplings[-1], votes)
            totals.append(total if bias is None else total.add_(bias[..., None]))
            poses.append(squash(totals[-1], dim=2))
            if step < ctx.iterations - 1:
                logits = _add_agreement(logits, votes, poses[-1])
        ctx.save_for_backward(votes, *couplings, *totals, *poses[:-1])
        return poses[-1]

    @staticmethod
    @once_differentiable("fused dynamic routing of maps")
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        votes, *saved = ctx.saved_tensors
        last = ctx.iterations - 1
        couplings, totals, poses = saved[:last], saved[last : 2 * last + 1], saved[2 * last + 1 :]
        of_votes, of_logits, of_bias = torch.zeros_like(votes), None, None
        for step in reversed(range(last + 1)):
            of_poses = gradient
            if of_logits is not None:
                of_poses = _weighted_sum(of_logits, votes)
                for k in range(votes.shape[3]):
                    of_votes[:, :, :, k].addcmul_(of_logits, poses[step][:, None, :, k])
            of_total = _squash_backward(totals[step], of_poses)
            if ctx.needs_input_grad[1]:
                mean = of_total.sum(dim=(0, 3))
                of_bias = mean if of_bias is None else of_bias + mean
            if step == 0:
                of_votes += (of_total / votes.shape[2])[:, None]
                break
            coupling = couplings[step - 1]
            for child in range(votes.shape[1]):
                of_votes[:, child].addcmul_(coupling[:, child, :, None], of_total)
            of_coupling = _add_agreement(None, votes, of_total)
            of_softmax = coupling * (of_coupling - (coupling * of_coupling).sum(dim=2, keepdim=True))
            of_logits = of_softmax if of_logits is None else of_logits + of_softmax
        return of_votes, of_bias, None


def _weighted_sum(weights: Float[Tensor, "b i j p"], votes: Float[Tensor, "b i j d p"]) -> Float[Tensor, "b j d p"]:
    total = weights[:, 0, :, None] * votes[:, 0]
    for child in range(1, votes.shape[1]):
        total.addcmul_(weights[:, child, :, None], votes[:, child])
    return total


def _add_agreement(
    logits: Float[Tensor, "b i j p"] | None, votes: Float[Tensor, "b i j d p"], poses: Float[Tensor, "b j d p"]
) -> Float[Tensor, "b i j p"]:
    """Add the scalar products of votes and poses to `logits`, in place."""
    result = torch.zeros_like(votes[:, :, :, 0]) if logits is None else logits
    for k in range(votes.shape[3]):
        result.addcmul_(votes[:, :, :, k], poses[:, None, :, k])
    return result


def _squash_backward(total: Float[Tensor, "b j d p"], gradient: Float[Tensor, "b j d p"]) -> Float[Tensor, "b j d p"]:
    """The gradient of `squash`, finite where it is: vectors are scaled by their largest entry."""
    unit = total.abs().amax(dim=2, keepdim=True).clamp_(min=1.0)
    scaled, inverse = total / unit, unit.reciprocal()
    norm = (scaled.square().sum(dim=2, keepdim=True) + 1e-20).sqrt()
    wide, narrow = inverse.square() + norm.square(), inverse.square() - norm.square()
    along = (scaled * gradient).sum(dim=2, keepdim=True) * (narrow * inverse / (wide.square() * norm))
    return gradient * (norm * inverse / wide) + scaled * along

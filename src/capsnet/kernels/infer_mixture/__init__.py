"""EM routing and variational Bayes routing on votes that are never stored: `route_children` of both, on a CPU.

The derivation of what is computed, and what it costs, is in README.md of this folder.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.capsules import Capsules
from capsnet.functional import Windows
from capsnet.kernels.infer_mixture.em import infer_em
from capsnet.kernels.infer_mixture.scratch import ScratchVotes
from capsnet.kernels.infer_mixture.variational_bayes import infer_variational_bayes
from capsnet.kernels.once_differentiable import once_differentiable
from capsnet.threads import in_pieces
from capsnet.torch_internals import has_tangent, is_in_graph, is_transformed

__all__ = ["infer_mixture", "refuses"]

Infer = Callable[..., tuple[Tensor, ...]]
_ALGORITHMS: Mapping[str, Infer] = {"em": infer_em, "variational_bayes": infer_variational_bayes}

# votes processed at a time: four such tensors fit into a core's cache; at least one sample
_VOTES = 2**19
# pieces of a batch, which threads share; not one for each thread: their number would change the order of the sums
_PIECES = 8
# samples that a piece must have
_FEWEST = 8
# maximum number of products summed in a vote: longer sums are faster as matrix products
_WIDEST = 8


def infer_mixture(
    algorithm: str,
    children: Capsules,
    weight: Float[Tensor, "i c j d"],
    betas: tuple[Float[Tensor, " j"], Float[Tensor, " j"]],
    options: Mapping[str, object],
    *,
    offsets: Float[Tensor, "p i 1 rd"] | None = None,
    places: int = 1,
    windows: Windows | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Route children by EM or variational Bayes, a few samples at a time: poses, logits of activations, coupling.

    Its results have the gradients of the plain function to poses, activations, `weight` and `betas`, once: there are no
    second derivatives.

    Args:
        algorithm: `"em"` or `"variational_bayes"`.
        children: poses and activations.
        weight: transformation matrices.
        betas: β_u and β_a of each parent.
        options: other arguments of the plain function.
        offsets: what is added to the votes of each place.
        places: rows of children that belong to one sample.
        windows: of a convolutional layer whose parents compete across places.

    Shapes:
        poses `b i (r c)`, activations `b i`, weight `i c j d`, offsets `p i 1 (r d)` for `p` places.
    """
    infer = partial(_ALGORITHMS[algorithm], windows=windows, **options)
    arguments = (infer, places, children.poses, children.activations, weight, offsets, *betas)
    # autocast would halve the sums; the backward pass leaves it by itself
    with torch.autocast("cpu", enabled=False):
        results: tuple[Tensor, Tensor, Tensor] = _Mixture.apply(*arguments)
    return results


def refuses(
    algorithm: str,
    children: Capsules,
    weight: Float[Tensor, "i c j d"],
    betas: tuple[Float[Tensor, " j"], Float[Tensor, " j"]],
    options: Mapping[str, object],
    *,
    offsets: Float[Tensor, "p i 1 rd"] | None = None,
    places: int = 1,
    windows: Windows | None = None,
) -> str | None:
    """The reason why a call is not supported; None if it is.

    Args: those of `infer_mixture`.
    """
    tensors = (children.poses, children.activations, weight, *betas)
    if children.poses.device.type != "cpu":
        return "it works on a CPU only"
    if is_in_graph():
        return "it cannot be part of a compiled or traced graph"
    if any(map(is_transformed, tensors)):
        return "it has no rule for the transforms of torch.func"
    if any(map(has_tangent, tensors)):
        return "it has no forward-mode derivative"
    if {tensor.dtype for tensor in tensors} not in ({torch.float32}, {torch.float64}):
        return "its tensors are not all of float32, or all of float64"
    if any(0 in tensor.shape for tensor in tensors):
        return "a tensor is empty"
    if weight.shape[1] > _WIDEST:
        return f"it is for matrices of 1 to {_WIDEST} rows"
    return None


class _Mixture(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        infer: Infer,
        places: int,
        poses: Float[Tensor, "b i rc"],
        activations: Float[Tensor, "b i"],
        weight: Float[Tensor, "i c j d"],
        offsets: Float[Tensor, "p i 1 rd"] | None,
        *shared: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.infer, ctx.places, ctx.num_shared = infer, places, len(shared)
        ctx.save_for_backward(poses, activations, weight, offsets, *shared)

        def work(samples: slice) -> list[tuple[Tensor, ...]]:
            scratch = ScratchVotes(weight, offsets, _chunk(poses, weight, places))
            outputs = []
            for rows in _chunks(samples, places, scratch.rows):
                scratch.fill(poses[rows])
                outputs.append(infer(scratch, activations[rows], *shared))
                scratch.forget()
            return outputs

        parts = in_pieces(len(poses) // places, _PIECES, work, at_least=_FEWEST)
        return tuple(torch.cat(values) for values in zip(*(outputs for part in parts for outputs in part), strict=True))

    @staticmethod
    @once_differentiable("fused EM and variational Bayes routing")
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        poses, activations, weight, offsets, *shared = ctx.saved_tensors
        to_poses, to_activations = torch.empty_like(poses), torch.empty_like(activations)

        def work(samples: slice) -> tuple[Tensor, list[Tensor]]:
            scratch = ScratchVotes(weight, offsets, _chunk(poses, weight, ctx.places), backward=True)
            to_weight = torch.zeros_like(weight)
            mine = [tensor.detach().requires_grad_() for tensor in shared]
            for rows in _chunks(samples, ctx.places, scratch.rows):
                scratch.fill(poses[rows])
                here = activations[rows].detach().requires_grad_()
                with torch.enable_grad():
                    outputs = ctx.infer(scratch, here, *mine)
                with_gradient = [
                    (x, g[rows]) for x, g in zip(outputs, gradients, strict=True) if g is not None and x.requires_grad
                ]
                torch.autograd.backward([x for x, _ in with_gradient], [g for _, g in with_gradient])
                scratch.forget()
                to_activations[rows] = here.grad
                to_poses[rows] = scratch.backward(to_weight)
            return to_weight, [torch.zeros_like(x) if x.grad is None else x.grad for x in mine]

        with torch.autocast("cpu", enabled=False):
            parts = in_pieces(len(poses) // ctx.places, _PIECES, work, at_least=_FEWEST)
        to_weight = sum(part[0] for part in parts[1:]) + parts[0][0]
        # terms of many samples may cancel: what remains is small beside the rounding of the sums
        to_shared = [
            torch.stack(values).sum(dim=0, dtype=torch.float64).to(values[0].dtype)
            for values in zip(*(part[1] for part in parts), strict=True)
        ]
        return None, None, to_poses, to_activations, to_weight, None, *to_shared


def _chunk(poses: Float[Tensor, "b i rc"], weight: Float[Tensor, "i c j d"], places: int) -> int:
    """Rows processed at a time: at least one sample's."""
    votes = poses[0].numel() // weight.shape[1] * weight[0, 0].numel()
    return places * max(1, _VOTES // (places * votes))


def _chunks(samples: slice, places: int, rows: int) -> list[slice]:
    first, end = samples.start * places, samples.stop * places
    return [slice(start, min(start + rows, end)) for start in range(first, end, rows)]

"""Backward passes that have no derivative of their own: the second one is refused with the remedy."""

import functools
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from capsnet.errors import UserError

_Backward = Callable[..., tuple[Tensor | None, ...]]


def once_differentiable(name: str) -> Callable[[_Backward], _Backward]:
    """Decorate the `backward` of an autograd function, as `torch.autograd.function.once_differentiable` does.

    That one is silent where the gradient that it receives is a constant: the second derivative is then taken as zero.

    Args:
        name: what is differentiated, for the message.

    Raises:
        UserError: when a result of `backward` is differentiated.
    """

    def decorate(backward: _Backward) -> _Backward:
        @functools.wraps(backward)
        def once(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
            with torch.no_grad():
                results = backward(ctx, *gradients)
            if not torch.is_grad_enabled():
                return results
            inputs = [x for x in (*gradients, *ctx.saved_tensors) if x is not None and x.requires_grad]
            if not inputs:
                return results
            there = [x for x in results if x is not None]
            refused = iter(cast(tuple[Tensor, ...], _Refuse.apply(name, len(there), *there, *inputs)))
            return tuple(None if x is None else next(refused) for x in results)

        return once

    return decorate


class _Refuse(torch.autograd.Function):
    """The first tensors, as functions of the others without a derivative."""

    @staticmethod
    def forward(ctx: Any, name: str, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.name = name
        return tuple(tensor.detach() for tensor in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        raise UserError(
            f"{ctx.name} has no second derivative: put the forward pass in `with capsnet.kernels.use('plain')`"
        )

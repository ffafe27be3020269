"""A convolution and its ReLU as one operation, whose backward goes through the batch in pieces.

Autograd's own keeps, for a moment, the gradient before the ReLU beside the one after it, each as large as the feature
maps: 52 MB for the paper's network at batch 128.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

PIECE_BYTES = 8 << 20
"""Size of the gradients of feature maps that are masked at a time."""


def conv_relu(
    x: Float[Tensor, "b c h w"], weight: Float[Tensor, "o c kh kw"], bias: Float[Tensor, " o"]
) -> Float[Tensor, "b o h2 w2"]:
    """Compute `torch.nn.functional.conv2d(x, weight, bias).relu()`, on the CPU in less memory.

    Differentiable any number of times. Under autocast to a lower precision all is in that.

    Args:
        x: images or feature maps.
        weight: windows.
        bias: added to each output channel.
    """
    # compilers and exported programs fuse the standard operators by themselves
    ours = x.device.type == "cpu" and not (torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None)
    if not ours or _mode() == "plain":
        return F.conv2d(x, weight, bias).relu()
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
    result: Tensor = _ConvReLU.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return result


def _mode() -> str:
    # the parent imports nothing from this file, and may be replaced
    from capsnet.kernels import mode

    return mode()


class _ConvReLU(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(x, weight, bias).relu_()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        x, weight, _ = inputs
        ctx.save_for_backward(x, weight, output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight, output = ctx.saved_tensors
        each = max(1, PIECE_BYTES // max(1, output[:1].nbytes))
        pieces = zip(*(tensor.split(each) for tensor in (gradient, output, x)), strict=True)
        found = [_gradients(ctx.needs_input_grad, weight, *piece) for piece in pieces]
        for_x, for_weight, for_bias = zip(*found, strict=True)
        return (
            torch.cat(for_x) if ctx.needs_input_grad[0] else None,
            sum(for_weight) if ctx.needs_input_grad[1] else None,
            sum(for_bias) if ctx.needs_input_grad[2] else None,
        )


def _gradients(
    needed: tuple[bool, bool, bool], weight: Tensor, gradient: Tensor, output: Tensor, x: Tensor
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of one piece of a batch in image, weight and bias, where they are needed."""
    masked: Tensor = torch.ops.aten.threshold_backward(gradient, output, 0)
    found: tuple[Tensor | None, Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
        masked, x, weight, [len(weight)], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, list(needed)
    )
    return found

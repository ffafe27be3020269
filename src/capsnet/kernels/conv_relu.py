"""A convolution and its ReLU as one operation, with a backward pass in chunks of the batch.

Autograd's own keeps, for a moment, the gradient before the ReLU beside the one after it, each as large as the feature
maps: 52 MB for the paper's network at batch 128.

Where a window holds few numbers (the first convolution: 9x9 grey pixels), the convolution and its weight gradient are
matrix products with the windows laid side by side. torch's own convolution takes two to nine times as long for them.
"""

import functools
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from capsnet.kernels.threads import in_parts
from capsnet.torch_internals import convolution_gradients, is_in_graph, relu_gradient

PIECE_BYTES = 8 << 20
"""Size of the gradient chunk that is masked at a time."""
MAX_WINDOW = 256
"""Largest window, in values, for which unfolding pays off."""
PIECE_IMAGES = 4
"""Images unfolded at a time, so that they stay in the cache."""


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
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
    result: Tensor = _ConvReLU.apply(x, weight, bias)
    return result


def refuses(x: Tensor, weight: Tensor, bias: Tensor) -> str | None:
    """The reason to use PyTorch's two operators for a call; None to use this one."""
    if x.device.type != "cpu":
        return f"it runs on the CPU, and the images are on {x.device}"
    if is_in_graph():
        return "compilers and exported programs fuse the standard operators by themselves"
    return None


class _ConvReLU(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if weight[0].numel() <= MAX_WINDOW:
            return _multiply_windows(x, weight, bias)
        return F.conv2d(x, weight, bias).relu_()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        x, weight, _ = inputs
        ctx.save_for_backward(x, weight, output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight, output = ctx.saved_tensors
        # with gradients enabled, this backward pass is itself differentiated
        if weight[0].numel() <= MAX_WINDOW and not ctx.needs_input_grad[0] and not torch.is_grad_enabled():
            return (None, *_parameter_gradients(gradient, output, x, weight))
        each = max(1, PIECE_BYTES // max(1, output[:1].nbytes))
        pieces = zip(*(tensor.split(each) for tensor in (gradient, output, x)), strict=True)
        results = [_gradients(ctx.needs_input_grad, weight, *piece) for piece in pieces]
        for_x, for_weight, for_bias = zip(*results, strict=True)
        return (
            torch.cat(for_x) if ctx.needs_input_grad[0] else None,
            sum(for_weight) if ctx.needs_input_grad[1] else None,
            sum(for_bias) if ctx.needs_input_grad[2] else None,
        )


def _gradients(
    needed: tuple[bool, bool, bool], weight: Tensor, gradient: Tensor, output: Tensor, x: Tensor
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The needed gradients of image, weight and bias for one chunk of a batch."""
    return convolution_gradients(relu_gradient(gradient, output), x, weight, needed)


def _multiply_windows(
    x: Float[Tensor, "b c h w"], weight: Float[Tensor, "o c kh kw"], bias: Float[Tensor, " o"]
) -> Float[Tensor, "b o h2 w2"]:
    """The convolution and its ReLU, as the product of the weight and the windows of each image."""
    rows, columns = (size - side + 1 for size, side in zip(x.shape[2:], weight.shape[2:], strict=True))
    result = x.new_empty(len(x), len(weight), rows, columns)
    flat, column = weight.flatten(1), bias.unsqueeze(1)

    def multiply(pieces: slice) -> None:
        for piece in _pieces(pieces, len(x)):
            windows = _windows(x[piece], weight)
            product = result[piece].flatten(2)
            torch.baddbmm(column, flat.expand(len(windows), -1, -1), windows, out=product)
            product.relu_()

    in_parts(-(-len(x) // PIECE_IMAGES), multiply, at_least=1)
    return result


def _parameter_gradients(
    gradient: Float[Tensor, "b o h2 w2"],
    output: Float[Tensor, "b o h2 w2"],
    x: Float[Tensor, "b c h w"],
    weight: Float[Tensor, "o c kh kw"],
) -> tuple[Float[Tensor, "o c kh kw"], Float[Tensor, " o"]]:
    """The gradients in weight and bias; summed over pieces of fixed size, whatever the number of threads."""

    wide = torch.promote_types(weight.dtype, torch.float32)

    def sum_pieces(pieces: slice) -> list[tuple[Tensor, Tensor]]:
        sums = []
        for piece in _pieces(pieces, len(x)):
            masked = relu_gradient(gradient[piece], output[piece]).flatten(2)
            products = torch.bmm(masked, _windows(x[piece], weight).mT)
            sums.append((products.sum(0, dtype=wide), masked.sum((0, 2), dtype=wide)))
        return sums

    parts = in_parts(-(-len(x) // PIECE_IMAGES), sum_pieces, at_least=1)
    for_weight, for_bias = zip(*(sums for part in parts for sums in part), strict=True)
    total = functools.reduce(torch.add, for_weight)
    return total.view_as(weight).to(weight.dtype), functools.reduce(torch.add, for_bias).to(weight.dtype)


def _pieces(pieces: slice, images: int) -> list[slice]:
    """Images of the pieces with these numbers."""
    firsts = range(pieces.start * PIECE_IMAGES, min(pieces.stop * PIECE_IMAGES, images), PIECE_IMAGES)
    return [slice(first, min(first + PIECE_IMAGES, images)) for first in firsts]


def _windows(x: Float[Tensor, "b c h w"], weight: Float[Tensor, "o c kh kw"]) -> Float[Tensor, "b k places"]:
    """The windows of images side by side: a copy, row by row of the window."""
    windows = x.unfold(2, weight.shape[2], 1).unfold(3, weight.shape[3], 1)  # b c h2 w2 kh kw
    return windows.permute(0, 1, 4, 5, 2, 3).reshape(len(x), weight[0].numel(), -1)

"""A convolution and its ReLU as one operation, with a backward pass in chunks of the batch.

Autograd's own keeps, for a moment, the gradient before the ReLU beside the one after it, each as large as the feature
maps: 52 MB for the paper's network at batch 128.

Where a window holds few numbers (the first convolution: 9x9 grey pixels), the convolution and its weight gradient are
matrix products with the windows laid side by side. torch's own convolution takes two to nine times as long for them.
With a C compiler, conv_relu.c reads the windows where they lie in the images, and returns the feature maps in
channels-last order, as the strided convolution reads them.
"""

import ctypes
import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from capsnet.kernels import native
from capsnet.threads import in_parts
from capsnet.torch_internals import convolution_gradients, has_tangent, in_transform, is_in_graph, relu_gradient

SOURCE = Path(__file__).with_suffix(".c")

PIECE_BYTES = 8 << 20
"""Size of the gradient chunk that is masked at a time."""
MAX_WINDOW = 256
"""Largest window, in values, for which unfolding pays off."""
PIECE_IMAGES = 4
"""Images unfolded at a time, so that they stay in the cache."""
FEWEST_IMAGES = 6
"""Images from which on C is used: for fewer, the next convolution is PyTorch's, which is slow with channels last."""
PANEL = 32
"""Neighbouring output channels of one matrix in C."""
BLOCK = 64
"""Positions that conv_relu.c masks at a time."""
FRESH_BYTES = 32 << 20
"""Size of a tensor from which malloc takes new memory for it from the operating system each time."""
SUMS = 16
"""Largest number of partial sums of the parameters' gradients in C."""


def conv_relu(
    x: Float[Tensor, "b c h w"], weight: Float[Tensor, "o c kh kw"], bias: Float[Tensor, " o"]
) -> Float[Tensor, "b o h2 w2"]:
    """Compute `torch.nn.functional.conv2d(x, weight, bias).relu()`, on the CPU in less memory.

    Differentiable any number of times. Under autocast to a lower precision all but float64 is in that. With a C
    compiler the result of `FEWEST_IMAGES` images or more lies in channels-last order.

    Args:
        x: images or feature maps.
        weight: windows.
        bias: added to each output channel.
    """
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        # as everywhere in autocast, float64 remains
        x, weight, bias = (t if t.dtype == torch.float64 else t.to(dtype) for t in (x, weight, bias))
    result: Tensor = _ConvReLU.apply(x, weight, bias)
    return result


def refuses(x: Tensor, weight: Tensor, bias: Tensor) -> str | None:
    """The reason to use PyTorch's two operators for a call; None to use this one."""
    if x.device.type != "cpu":
        return f"it runs on the CPU, and the images are on {x.device}"
    if is_in_graph():
        return "compilers and exported programs fuse the standard operators by themselves"
    if any(map(has_tangent, (x, weight, bias))):
        return "it has no forward-mode derivative"
    if x.ndim != 4 or len(x) == 0 or x.shape[1] != weight.shape[1]:
        return f"it needs images as b c h w with {weight.shape[1]} channels, and their shape is {tuple(x.shape)}"
    return None


class _ConvReLU(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if bias.shape == weight.shape[:1] and _is_for_c(x, weight, bias):
            return _convolve(x, weight, bias)
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
            find = _sum_gradients if _is_for_c(x, weight, gradient, output) else _parameter_gradients
            return (None, *find(gradient, output, x, weight))
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

    # the backward pass may run inside autocast, which would halve the products
    with torch.autocast("cpu", enabled=False):
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


class _Images(ctypes.Structure):
    """Images and their windows, as conv_relu.c reads them."""

    _fields_ = (
        ("first", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("step", ctypes.c_int64),
        ("positions", ctypes.POINTER(ctypes.c_int64)),
        ("position_count", ctypes.c_int64),
        ("offsets", ctypes.POINTER(ctypes.c_int64)),
        ("window", ctypes.c_int64),
    )


def _is_for_c(x: Tensor, weight: Tensor, *others: Tensor) -> bool:
    """Whether conv_relu.c computes this convolution, to which the other tensors belong."""
    return (
        # fake tensors and other subclasses have no memory to read
        all(type(tensor) in (Tensor, nn.Parameter) for tensor in (x, weight, *others))
        and all(tensor.dtype == x.dtype and tensor.device == x.device for tensor in (weight, *others))
        and x.dtype in (torch.float32, torch.bfloat16)
        and not in_transform()
        and x.ndim == weight.ndim == 4
        and len(x) >= FEWEST_IMAGES
        and x.shape[1] == weight.shape[1]
        and all(size >= side for size, side in zip(x.shape[2:], weight.shape[2:], strict=True))
        and len(weight) % PANEL == 0 < weight[:1].numel() <= MAX_WINDOW
        and native.refuses(SOURCE) is None
    )


def _convolve(
    x: Float[Tensor, "b c h w"], weight: Float[Tensor, "o c kh kw"], bias: Float[Tensor, " o"]
) -> Float[Tensor, "b o h2 w2"]:
    """The convolution and its ReLU in C; the result lies in channels-last order."""
    rows, columns = (size - side + 1 for size, side in zip(x.shape[2:], weight.shape[2:], strict=True))
    shape = (len(x), len(weight), rows, columns)
    result = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    panels = weight.float().reshape(-1, PANEL, weight[0].numel()).mT.contiguous()
    wide_bias = bias.float().contiguous()
    library = native.load(SOURCE)
    if result.nbytes >= FRESH_BYTES:
        library.use_huge_pages(native.pointer(result), ctypes.c_int64(result.nbytes))

    def convolve(part: slice) -> None:
        images = x[part].float()
        library.conv_relu(
            ctypes.byref(_images(images, weight)),
            *map(native.pointer, (panels, wide_bias)),
            ctypes.c_int64(len(weight)),
            native.pointer(result[part]),
            x.dtype == torch.bfloat16,
        )

    in_parts(len(x), convolve, at_least=1)
    return result


def _sum_gradients(
    gradient: Float[Tensor, "b o h2 w2"],
    output: Float[Tensor, "b o h2 w2"],
    x: Float[Tensor, "b c h w"],
    weight: Float[Tensor, "o c kh kw"],
) -> tuple[Float[Tensor, "o c kh kw"], Float[Tensor, " o"]]:
    """`_parameter_gradients` in C: each partial sum is of the same images whatever the number of threads."""
    each = -(-len(x) // SUMS)
    count = -(-len(x) // each)
    for_weight = x.new_empty(count, len(weight) // PANEL, weight[0].numel(), PANEL, dtype=torch.float32)
    for_bias = x.new_empty(count, len(weight), dtype=torch.float32)
    library = native.load(SOURCE)
    lie_ready = all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in (gradient, output))

    def add(first: int, end: int, scratch: Tensor) -> None:
        part = slice(first * each, end * each)
        images = x[part].float()
        maps = [tensor[part].contiguous(memory_format=torch.channels_last) for tensor in (gradient, output)]
        library.conv_relu_gradients(
            ctypes.byref(_images(images, weight)),
            *map(native.pointer, maps),
            *map(ctypes.c_int64, (len(weight), each)),
            *map(native.pointer, (scratch, for_weight[first], for_bias[first])),
            x.dtype == torch.bfloat16,
        )

    def add_part(sums: slice) -> None:
        scratch = x.new_empty(BLOCK + 1, len(weight), dtype=torch.float32)
        # to change the layout of a whole gradient would take as much memory again
        step = sums.stop - sums.start if lie_ready else 1
        for first in range(sums.start, sums.stop, step):
            add(first, first + step, scratch)

    in_parts(count, add_part, at_least=1)
    for sums in (for_weight, for_bias):
        library.add_up(native.pointer(sums), *map(ctypes.c_int64, (count, sums[0].numel())))
    return for_weight[0].mT.reshape(weight.shape).to(weight.dtype), for_bias[0].to(weight.dtype)


def _images(x: Float[Tensor, "b c h w"], weight: Float[Tensor, "o c kh kw"]) -> _Images:
    """The argument of C for images; the caller keeps `x`."""
    sizes = (size - side + 1 for size, side in zip(x.shape[2:], weight.shape[2:], strict=True))
    positions, offsets = _places(tuple(sizes), x.stride()[2:]), _places(weight.shape[1:], x.stride()[1:])
    return _Images(x.data_ptr(), len(x), x.stride(0), positions, len(positions), offsets, len(offsets))


@functools.lru_cache(maxsize=16)
def _places(sizes: tuple[int, ...], strides: tuple[int, ...]) -> "ctypes.Array[ctypes.c_int64]":
    """Where the values of a box lie in memory, row by row."""
    axes = [np.arange(size, dtype=np.int64) * stride for size, stride in zip(sizes, strides, strict=True)]
    places = functools.reduce(np.add.outer, axes).reshape(-1)
    return (ctypes.c_int64 * len(places)).from_buffer(places.data)

"""Sums in one order, whatever the number of threads, so that one seed gives the same bits with any.

PyTorch splits an operation over its threads, and some operations then add numbers in an order that depends on how many
there are: the gradient of a convolution's weight is a sum for each thread. Inside `FixedOrder` such an operation works
on pieces whose number follows from its shapes alone, each piece in one thread; a short one takes one thread as a whole.

The operations are those whose results differed between 1, 2, 3, 4 and 8 threads while the package's networks were
trained, and those that sum in the same way. tests/models/test_threads.py compares whole steps of all networks.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from capsnet.threads import in_pieces, is_in_part, one_thread
from capsnet.torch_internals import TorchDispatchMode, aten

PIECES = 4
"""Number of pieces of an operation, unless it has fewer images, rows or matrices."""
SUM_BYTES = 64 << 20
"""Memory for the sums of all pieces: an operation with a large result has fewer pieces."""
SHORT = 1 << 15
"""Numbers in an operation's first tensor below which it takes one thread."""
SHORT_PRODUCT = 1 << 21
"""Multiplications in a matrix product below which it takes one thread."""

# an operation of PyTorch, called with its arguments; its schema says what it returns
_Call = Callable[..., Any]


class FixedOrder(TorchDispatchMode):
    """Let operations on a CPU give the same bits whatever the number of threads.

    It holds in the calling thread, for operations that are called one by one: `torch.compile` splits what it generates
    over threads as before. Operations on a GPU are left as they are.

    Example:
        >>> with FixedOrder():
        ...     loss.backward()
    """

    def __torch_dispatch__(
        self, call: _Call, types: object, arguments: tuple[Any, ...] = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        handler = _HANDLERS.get(call)
        # a part has one thread, and its operations are the same however many parts there are
        if handler is None or is_in_part() or not _is_on_cpu(arguments):
            return call(*arguments, **named or {})
        return handler(call, *arguments, **named or {})


def _is_on_cpu(arguments: tuple[Any, ...]) -> bool:
    first = arguments[0][0] if isinstance(arguments[0], list) else arguments[0]
    return bool(first.device.type == "cpu")


def _alone(call: _Call, *arguments: Any, **named: Any) -> Any:
    with one_thread():
        return call(*arguments, **named)


def _convolve(call: _Call, x: Tensor, weight: Tensor, bias: Tensor | None, *others: Any) -> Any:
    if x.numel() < SHORT:
        return _alone(call, x, weight, bias, *others)
    return torch.cat(in_pieces(len(x), PIECES, lambda piece: call(x[piece], weight, bias, *others)))


def _convolution_gradients(call: _Call, gradient: Tensor, x: Tensor, weight: Tensor, *others: Any) -> Any:
    if x.numel() < SHORT:
        return _alone(call, gradient, x, weight, *others)
    number = min(PIECES, max(1, SUM_BYTES // max(1, weight.nbytes)))
    return _join(in_pieces(len(x), number, lambda piece: call(gradient[piece], x[piece], weight, *others)))


def _layer_norm_gradients(
    call: _Call, gradient: Tensor, x: Tensor, shape: Sequence[int], mean: Tensor, scale: Tensor, *others: Any
) -> Any:
    if x.numel() < SHORT or x.ndim == len(shape):
        return _alone(call, gradient, x, shape, mean, scale, *others)

    def work(piece: slice) -> Any:
        return call(gradient[piece], x[piece], shape, mean[piece], scale[piece], *others)

    return _join(in_pieces(len(x), PIECES, work))


def _join(results: Sequence[tuple[Tensor | None, ...]]) -> tuple[Tensor | None, ...]:
    """The gradients of all images, and the sums of the parameters' gradients."""
    images, *parameters = zip(*results, strict=True)
    sums = (None if of[0] is None else functools.reduce(torch.add, of) for of in parameters)
    return None if images[0] is None else torch.cat(images), *sums


def _softmax(call: _Call, x: Tensor, dim: int, *others: Any) -> Any:
    if x.numel() < SHORT or dim in (0, -x.ndim):
        return _alone(call, x, dim, *others)
    return torch.cat(in_pieces(len(x), PIECES, lambda piece: call(x[piece], dim, *others)))


def _softmax_gradient(call: _Call, gradient: Tensor, output: Tensor, dim: int, *others: Any) -> Any:
    if output.numel() < SHORT or dim in (0, -output.ndim):
        return _alone(call, gradient, output, dim, *others)
    return torch.cat(in_pieces(len(output), PIECES, lambda piece: call(gradient[piece], output[piece], dim, *others)))


def _batch_norm(call: _Call, *arguments: Any) -> Any:
    x = next(argument for argument in arguments if isinstance(argument, Tensor))
    # of feature maps each thread has some channels
    return call(*arguments) if x.ndim > 2 and x.is_contiguous() else _alone(call, *arguments)


def _norm(call: _Call, x: Any, order: Any = 2, dim: Any = None, *others: Any, **named: Any) -> Any:
    # along an axis, each norm is computed by one thread
    return _alone(call, x, order, dim, *others, **named) if dim is None else call(x, order, dim, *others, **named)


def _multiply(call: _Call, a: Tensor, b: Tensor) -> Any:
    if a.shape[-2] * b.numel() < SHORT_PRODUCT:
        return _alone(call, a, b)
    product = torch.mm if a.ndim == 2 else torch.bmm
    result = a.new_empty(*a.shape[:-1], b.shape[-1])

    def work(piece: tuple[slice, ...], rows: tuple[slice, ...], columns: tuple[slice, ...]) -> None:
        product(a[rows], b[columns], out=result[piece])

    _for_blocks(result, work)
    return result


def _multiply_and_add(call: _Call, start: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Any:
    if a.shape[-2] * b.numel() < SHORT_PRODUCT:
        return _alone(call, start, a, b, beta=beta, alpha=alpha)
    product = torch.addmm if a.ndim == 2 else torch.baddbmm
    result = a.new_empty(*a.shape[:-1], b.shape[-1])
    start = start.expand_as(result)

    def work(piece: tuple[slice, ...], rows: tuple[slice, ...], columns: tuple[slice, ...]) -> None:
        product(start[piece], a[rows], b[columns], beta=beta, alpha=alpha, out=result[piece])

    _for_blocks(result, work)
    return result


def _for_blocks(
    result: Tensor, work: Callable[[tuple[slice, ...], tuple[slice, ...], tuple[slice, ...]], None]
) -> None:
    """Call `work` for the blocks of a product: matrices, or rows or columns of all, and what they are made of."""
    *matrices, rows, columns = result.shape
    every = slice(None)
    before = (every,) * len(matrices)

    def block(piece: slice) -> None:
        if matrices and matrices[0] >= PIECES:
            work((piece,), (piece,), (piece,))
        elif rows >= columns:
            work((*before, piece), (*before, piece), before)
        else:
            work((*before, every, piece), before, (*before, every, piece))

    count = matrices[0] if matrices and matrices[0] >= PIECES else max(rows, columns)
    in_pieces(count, PIECES, block)


_HANDLERS: Mapping[_Call, Callable[..., Any]] = {
    aten.convolution.default: _convolve,
    aten.convolution_backward.default: _convolution_gradients,
    aten.mm.default: _multiply,
    aten.bmm.default: _multiply,
    aten.addmm.default: _multiply_and_add,
    aten.baddbmm.default: _multiply_and_add,
    aten._softmax.default: _softmax,
    aten._softmax_backward_data.default: _softmax_gradient,
    aten._log_softmax.default: _softmax,
    aten._log_softmax_backward_data.default: _softmax_gradient,
    aten.native_layer_norm_backward.default: _layer_norm_gradients,
    aten.native_batch_norm.default: _batch_norm,
    aten.native_batch_norm_backward.default: _batch_norm,
    aten.native_group_norm_backward.default: _alone,
    aten.sum.default: _alone,
    aten.mean.default: _alone,
    aten.linalg_vector_norm.default: _norm,
    aten._foreach_norm.Scalar: _alone,
}

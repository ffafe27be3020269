"""Strided convolution by short bilinear algorithms, as three custom operators that are each other's derivatives.

Derivation and operation counts: README.md in this folder.

Axes: `b c h w` the image, `o` output channels, `k` taps; `f p t` phase, point and tile of the vertical axis,
`g q s` of the horizontal one. The work goes through groups of pairs (q, g). For each group all threads first transform
the windows together; then each thread goes through the pairs for its own images, so that what belongs to one pair stays
in the cache. The whole transformed image or window never exists.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.kernels.strided_conv import compiled
from capsnet.kernels.strided_conv.algorithm import CHANNEL_PIECES, Algorithm, Group, pieces
from capsnet.threads import in_pieces

F = TypeVar("F", bound=Callable[..., object])


def in_their_own_type(function: F) -> F:
    """Decorate a function whose products autocast would halve, in the middle of the algorithm."""

    @functools.wraps(function)
    def in_own_type(*arguments: Any, **options: Any) -> object:
        # an object of its own for each call: it keeps what it restores, and threads would share it
        with torch.autocast("cpu", enabled=False):
            return function(*arguments, **options)

    return cast(F, in_own_type)


# images that a piece must have
FEWEST_IMAGES = 8
# pieces of a batch, which threads share; not one for each thread: their number would change the order of the sums
PIECES = 4


@torch.library.custom_op("capsnet::strided_conv2d", mutates_args=())
@in_their_own_type
def strided_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int]) -> Tensor:
    """`conv2d(x, weight, bias, stride)` in the type of the weight, with its result in channels-last order."""
    if compiled.refuses(x, weight, stride) is None:
        compiled_result = compiled.correlate(x, weight, stride)
        return compiled_result if bias is None else compiled_result.add_(bias[:, None, None])
    algorithm = Algorithm([*x.shape[2:]], [*weight.shape[2:]], stride, weight)
    o, c = weight.shape[:2]
    total = weight.new_empty(algorithm.columns.outputs, algorithm.rows.outputs, len(x), o)

    def fill(images: slice, group: Group, windows: Tensor) -> None:
        for part in algorithm.parts(images, group, max(o, c)):
            _correlate(algorithm, group, x[part], windows, total[:, :, part])

    for group, windows in algorithm.windows(weight):
        in_pieces(len(x), PIECES, functools.partial(fill, group=group, windows=windows), at_least=FEWEST_IMAGES)
    result = total.permute(2, 1, 0, 3).contiguous()
    if bias is not None:
        result += bias
    return result.permute(0, 3, 1, 2)


def _correlate(
    algorithm: Algorithm,
    group: Group,
    images: Float[Tensor, "b c h w"],
    windows: Float[Tensor, "pairs fp o c"],
    total: Float[Tensor, "w2 h2 b o"],
) -> None:
    """Add what a group of pairs gives to the result; the first group begins it."""
    rows, tiles = algorithm.rows, algorithm.tiles
    n, o = total.shape[2:]
    columns = algorithm.result_columns[group.points].flatten(0, 1)
    products = algorithm.room("products", rows.points[0], rows.tiles * tiles * n, o)
    strips = algorithm.room("result strips", rows.outputs, len(columns), n * o)
    pairs = zip(group.order, algorithm.image_points(group, images), windows, strict=True)
    for (q, g), image_points, window_points in pairs:
        phases = zip(algorithm.phases(image_points), algorithm.phases(window_points), strict=True)
        for f, (image, window) in enumerate(phases):
            if f == g == 0:
                torch.bmm(image, window.mT, out=products)
            else:
                products[: len(image)].baddbmm_(image, window.mT)
        if (q, g + 1) not in group.order:
            for s, tile in enumerate(products.view(-1, tiles, n * o).unbind(1)):
                torch.mm(algorithm.result_rows.t(), tile, out=strips[:, q * tiles + s])
    # with beta zero, what the memory held before is not read
    beta = int(group.points.start > 0)
    total.flatten(2).transpose(0, 1).baddbmm_(columns.t().expand(rows.outputs, -1, -1), strips, beta=beta)


@torch.library.custom_op("capsnet::strided_conv2d_input_gradient", mutates_args=())
@in_their_own_type
def input_gradient(gradient: Tensor, weight: Tensor, size: list[int], stride: list[int]) -> Tensor:
    """The gradient in the image, of `size`, from the gradient in the result."""
    if compiled.refuses_input_gradient(gradient, weight, size, stride) is None:
        return compiled.input_gradient(gradient, weight, size, stride)
    algorithm = Algorithm(size, [*weight.shape[2:]], stride, weight)
    o, c = weight.shape[:2]
    result = weight.new_empty(len(gradient), c, *size)
    given = gradient.permute(3, 2, 0, 1).contiguous()

    def fill(images: slice, group: Group, windows: Tensor) -> None:
        for part in algorithm.parts(images, group, max(o, c)):
            _spread(algorithm, group, given[:, :, part], windows, result[part].flatten(0, 1))

    for group, windows in algorithm.windows(weight):
        in_pieces(len(gradient), PIECES, functools.partial(fill, group=group, windows=windows), at_least=FEWEST_IMAGES)
    if compiled.refuses_input_gradients(gradient, weight, stride) is None:
        return result.contiguous(memory_format=torch.channels_last)
    return result


def _spread(
    algorithm: Algorithm,
    group: Group,
    gradient: Float[Tensor, "w2 h2 b o"],
    windows: Float[Tensor, "pairs fp o c"],
    target: Float[Tensor, "bc h w"],
) -> None:
    """Add what a group of pairs gives to the gradient in the image; the first group begins it."""
    n, h, _ = target.shape
    tiles = algorithm.tiles
    points = algorithm.room("image", len(algorithm.image_rows), tiles, n)
    columns = algorithm.image_columns[group.pairs].flatten(0, 1)
    strips = algorithm.room("strips", len(columns), n, h)
    pairs = enumerate(zip(algorithm.gradient_points(group, gradient), windows, strict=True))
    for pair, (products, window_points) in pairs:
        outputs = algorithm.phases(points.view(len(window_points), -1, windows.shape[-1]))
        for output, window in zip(outputs, algorithm.phases(window_points), strict=True):
            torch.bmm(products[: len(window)], window, out=output)
        for s in range(tiles):
            torch.mm(points[:, s].t(), algorithm.image_rows, out=strips[pair * tiles + s])
    target.view(n * h, -1).addmm_(strips.flatten(1).t(), columns, beta=int(group.points.start > 0))


@torch.library.custom_op("capsnet::strided_conv2d_weight_gradient", mutates_args=())
@in_their_own_type
def weight_gradient(gradient: Tensor, x: Tensor, window: list[int], stride: list[int]) -> Tensor:
    """The gradient in the weight, whose window is of size `window`, from the gradient in the result, in its type."""
    if compiled.refuses_weight_gradient(gradient, x, stride) is None:
        return compiled.weight_gradient(gradient, x, window, stride)
    algorithm = Algorithm([*x.shape[2:]], window, stride, gradient)
    o, c = gradient.shape[1], x.shape[1]
    given = gradient.permute(3, 2, 0, 1).contiguous()
    strips = gradient.new_empty(window[0], len(algorithm.order), o, c)

    def find(images: slice, group: Group) -> Tensor:
        points = gradient.new_empty(len(group.order), len(algorithm.window_rows), o, c)
        for part in algorithm.parts(images, group, max(o, c)):
            _multiply(algorithm, group, given[:, :, part], x[part], points, first=part.start == images.start)
        return points

    def add(part: slice, group: Group, partial_sums: list[Tensor]) -> None:
        for pair, strip in enumerate(strips[:, group.pairs, part].flatten(2).unbind(1)):
            for k, points in enumerate(partial_sums):
                strip.addmm_(algorithm.window_rows.t(), points[pair, :, part].flatten(1), beta=int(k > 0))

    for group in algorithm.groups(o * c):
        partial_sums = in_pieces(len(x), PIECES, functools.partial(find, group=group), at_least=FEWEST_IMAGES)
        in_pieces(o, CHANNEL_PIECES, functools.partial(add, group=group, partial_sums=partial_sums))
        del partial_sums
    result = gradient.new_empty(o, c, *window)

    def finish(part: slice) -> None:
        _to_taps(algorithm.window_columns, strips[:, :, part].flatten(2), result[part].flatten(0, 1))

    in_pieces(o, CHANNEL_PIECES, finish)
    return result


def _multiply(
    algorithm: Algorithm,
    group: Group,
    gradient: Float[Tensor, "w2 h2 b o"],
    images: Float[Tensor, "b c h w"],
    points: Float[Tensor, "pairs fp o c"],
    *,
    first: bool,
) -> None:
    """Add the gradient in the windows' points that some images give; the first of a thread begin it."""
    gradients = algorithm.gradient_points(group, gradient)
    pairs = zip(points, gradients, algorithm.image_points(group, images), strict=True)
    for target, products, image_points in pairs:
        for output, image in zip(algorithm.phases(target), algorithm.phases(image_points), strict=True):
            output.baddbmm_(products[: len(image)].mT, image, beta=int(not first))


def _to_taps(
    columns: Float[Tensor, "pairs kw"], strips: Float[Tensor, "kh pairs n"], target: Float[Tensor, "n kh kw"]
) -> None:
    # a matrix product with fewer than 16 columns is slow, and so is a transposed copy of three axes, but not one of two
    kh, _, n = strips.shape
    for piece in pieces(n, target[0].nbytes):
        taps = torch.bmm(columns.t().expand(kh, -1, -1), strips[:, :, piece])
        target[piece].flatten(1).copy_(taps.flatten(0, 1).t())


# while a program is traced, sizes may be symbols


@strided_conv2d.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, stride: list[Any]) -> Tensor:
    h, w = ((size - taps) // step + 1 for size, taps, step in zip(x.shape[2:], weight.shape[2:], stride, strict=True))
    return weight.new_empty(x.shape[0], h, w, weight.shape[0]).permute(0, 3, 1, 2)


@input_gradient.register_fake
def _(gradient: Tensor, weight: Tensor, size: list[Any], stride: list[Any]) -> Tensor:
    if compiled.refuses_input_gradients(gradient, weight, stride) is None:
        return weight.new_empty(gradient.shape[0], *size, weight.shape[1]).permute(0, 3, 1, 2)
    return weight.new_empty(gradient.shape[0], weight.shape[1], *size)


@weight_gradient.register_fake
def _(gradient: Tensor, x: Tensor, window: list[Any], stride: list[Any]) -> Tensor:
    return gradient.new_empty(gradient.shape[1], x.shape[1], *window)


# each of the three is linear in either argument, and the derivative in one is again one of the three


def _save(ctx: Any, inputs: Any, output: Tensor) -> None:
    x, weight, bias, stride = inputs
    ctx.save_for_backward(x, weight)
    ctx.stride, ctx.has_bias = stride, bias is not None


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
    x, weight = ctx.saved_tensors
    needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
    # the one that works in more memory first, while the other's large result is not there yet
    for_weight = weight_gradient(gradient, x, [*weight.shape[2:]], ctx.stride) if needs_weight else None
    return (
        input_gradient(gradient, weight, [*x.shape[2:]], ctx.stride).to(x.dtype) if needs_x else None,
        for_weight,
        gradient.sum((0, 2, 3)) if needs_bias else None,
        None,
    )


def _save_two(ctx: Any, inputs: Any, output: Tensor) -> None:
    first, second, _, stride = inputs
    ctx.save_for_backward(first, second)
    ctx.stride = stride


def _backward_of_input_gradient(ctx: Any, x: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    gradient, weight = ctx.saved_tensors
    return (
        strided_conv2d(x, weight, None, ctx.stride) if ctx.needs_input_grad[0] else None,
        weight_gradient(gradient, x, [*weight.shape[2:]], ctx.stride) if ctx.needs_input_grad[1] else None,
        None,
        None,
    )


def _backward_of_weight_gradient(ctx: Any, weight: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    gradient, x = ctx.saved_tensors
    return (
        strided_conv2d(x, weight, None, ctx.stride) if ctx.needs_input_grad[0] else None,
        input_gradient(gradient, weight, [*x.shape[2:]], ctx.stride).to(x.dtype) if ctx.needs_input_grad[1] else None,
        None,
        None,
    )


strided_conv2d.register_autograd(_backward, setup_context=_save)
input_gradient.register_autograd(_backward_of_input_gradient, setup_context=_save_two)
weight_gradient.register_autograd(_backward_of_weight_gradient, setup_context=_save_two)

"""Strided convolution by short bilinear algorithms, as three custom operators that are each other's derivatives.

Derivation and operation counts: README.md in this folder.

Axes: `b c h w` the image, `o` output channels, `k` taps; `f p t` phase, point and tile of the vertical axis,
`g q s` of the horizontal one. The work goes through one pair (q, g) after another, so that what belongs to it stays in
the cache and the whole transformed image never exists.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx

from capsnet.kernels.strided_conv.bilinear import axis
from capsnet.kernels.threads import in_parts

# autocast would halve the products inside, in the middle of the algorithm
in_their_own_type = torch.autocast("cpu", enabled=False)

# malloc gives larger blocks back to the operating system: each call would pay their page faults again
BLOCK_BYTES = 16 << 20


class Algorithm:
    """The matrices of both axes in the dtype of a call, flattened to the forms that the matrix products need."""

    def __init__(self, size: list[int], window: list[int], stride: list[int], like: Tensor) -> None:
        def tensor(rows: object) -> Tensor:
            return torch.as_tensor(rows, dtype=like.dtype)

        self.rows, self.columns = (axis(*of) for of in zip(size, window, stride, strict=True))
        self.tiles = self.columns.tiles
        vertical = list(enumerate(self.rows.points))
        self.image_rows = torch.cat([tensor(self.rows.image[f, :n]).flatten(0, 1) for f, n in vertical])  # (f p t) h
        self.window_rows = torch.cat([tensor(self.rows.window[f, :n]) for f, n in vertical])  # (f p) k
        self.result_rows = tensor(self.rows.result).flatten(0, 1)  # (p t) h
        self.order = [(q, g) for q in range(self.columns.points[0]) for g, n in enumerate(self.columns.points) if q < n]
        self.image_columns = torch.cat([tensor(self.columns.image[g, q]) for q, g in self.order])  # (q g s) w
        self.window_columns = torch.stack([tensor(self.columns.window[g, q]) for q, g in self.order])  # (q g) k
        self.result_columns = tensor(self.columns.result).flatten(0, 1)  # (q s) w

    def image_points(self, x: Float[Tensor, "b c h w"]) -> Iterator[Float[Tensor, "fp tsb c"]]:
        """The image at every point, one pair (q, g) at a time, always in the same memory."""
        b, c, h, w = x.shape
        points = x.new_empty(len(self.image_rows), self.tiles, b * c)
        for strip in _stream(self.image_columns, x.reshape(-1, w), self.tiles):
            for s, places in enumerate(strip.view(self.tiles, b * c, h)):
                torch.mm(self.image_rows, places.t(), out=points[:, s])
            yield points.view(len(self.window_rows), -1, c)

    def window_points(self, weight: Float[Tensor, "o c kh kw"]) -> Iterator[Float[Tensor, "fp o c"]]:
        """The windows at every point, one pair (q, g) at a time, always in the same memory."""
        o, c, kh, kw = weight.shape
        points = weight.new_empty(len(self.window_rows), o * c)
        for strip in _stream(self.window_columns, weight.reshape(-1, kw), 1):
            torch.mm(self.window_rows, strip.view(o * c, kh).t(), out=points)
            yield points.view(-1, o, c)

    def gradient_points(self, gradient: Float[Tensor, "b o h w"]) -> Iterator[Float[Tensor, "p tsb o"]]:
        """The gradient of the products, one pair (q, g) at a time: it is the same for all g."""
        b, o, h, w = gradient.shape
        flat = gradient.permute(3, 2, 0, 1).reshape(w, h * b * o)
        strips = torch.mm(self.result_columns, flat).view(-1, self.tiles, h, b * o)
        products = gradient.new_empty(len(self.result_rows), self.tiles, b * o)
        for q, g in self.order:
            if g == 0:
                for s in range(self.tiles):
                    torch.mm(self.result_rows, strips[q, s], out=products[:, s])
            yield products.view(self.rows.points[0], -1, o)

    def phases(self, points: Float[Tensor, "fp n c"]) -> list[Float[Tensor, "p n c"]]:
        """Split what stands at all vertical phases and points into one tensor for each phase."""
        return list(torch.split(points, list(self.rows.points)))


def _stream(matrix: Float[Tensor, "rows n"], data: Float[Tensor, "m n"], rows: int) -> Iterator[Float[Tensor, "r m"]]:
    """Yield matrix · dataᵀ in strips of `rows` rows; as many strips at once as a block of memory holds."""
    limit = max(1, BLOCK_BYTES // (rows * len(data) * data.element_size()))
    strips = len(matrix) // rows
    group = -(-strips // -(-strips // limit)) * rows
    block = data.new_empty(group, len(data))
    for part in torch.split(matrix, group):
        yield from torch.split(torch.mm(part, data.t(), out=block[: len(part)]), rows)


class _Adjoint:
    """The transpose of `_stream` and of the vertical transform: sums strips of points into images or windows.

    A matrix product with fewer than 16 columns is slow. A narrow sum is therefore kept with height and width first and
    copied at the end; a wide one grows in its place, because such a copy is slow where rows are powers of two apart.
    """

    def __init__(
        self, rows: Tensor, columns: Tensor, strip: int, size: Sequence[int], target: Float[Tensor, "n h w"] | None
    ) -> None:
        self.rows, self.columns, self.strip = rows, columns, strip
        count, height, width = size
        self.narrow = rows.new_empty(height, width, count) if width < 16 else None
        # a narrow sum needs no place of its own before the end
        self.target = rows.new_empty(count, height, width) if target is None and self.narrow is None else target
        limit = max(1, BLOCK_BYTES // (strip * height * count * rows.element_size()))
        strips = len(columns) // strip
        self.block = rows.new_empty(height, -(-strips // -(-strips // limit)) * strip, count)
        self.started = False
        self.done = self.filled = 0

    def add(self, points: Float[Tensor, "points s n"]) -> None:
        """Take in the points of one pair (q, g)."""
        for s in range(self.strip):
            torch.mm(self.rows.t(), points[:, s], out=self.block[:, self.filled])
            self.filled += 1
        if self.filled == self.block.shape[1] or self.done + self.filled == len(self.columns):
            self._sum(self.columns[self.done : self.done + self.filled], self.block[:, : self.filled])
            self.done, self.filled = (self.done + self.filled) % len(self.columns), 0

    def _sum(self, columns: Float[Tensor, "strips w"], block: Float[Tensor, "h strips n"]) -> None:
        # with beta zero, what the memory held before is not read
        beta = int(self.started)
        if self.narrow is None:
            assert self.target is not None
            for h, strips in enumerate(block):
                self.target[:, h].addmm_(strips.t(), columns, beta=beta)
        else:
            self.narrow.baddbmm_(columns.t().expand(len(block), -1, -1), block, beta=beta)
        self.started = True

    def finish(self) -> Float[Tensor, "n h w"]:
        """The sum; it is in `target` where one was given."""
        if self.narrow is None:
            assert self.target is not None
            return self.target
        total = self.narrow.permute(2, 0, 1)
        return total if self.target is None else self.target.copy_(total)


# images that a thread must have: each transforms all windows anew
FEWEST_IMAGES = 8


def _parts(images: slice, algorithm: Algorithm, channels: int, itemsize: int) -> list[slice]:
    """Equal parts of some images whose points of one pair (q, g) fit a block of memory."""
    count = images.stop - images.start
    each = 2 * len(algorithm.image_rows) * algorithm.tiles * channels * itemsize
    step = -(-count // max(1, -(-count * each // BLOCK_BYTES)))
    return [slice(first, min(first + step, images.stop)) for first in range(images.start, images.stop, step)]


@torch.library.custom_op("capsnet::strided_conv2d", mutates_args=())
@in_their_own_type  # type: ignore[untyped-decorator]
def strided_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int]) -> Tensor:
    """`conv2d(x, weight, bias, stride)`, with its result in channels-last order."""
    algorithm = Algorithm([*x.shape[2:]], [*weight.shape[2:]], stride, x)
    o = len(weight)
    result = x.new_empty(len(x), algorithm.rows.outputs, algorithm.columns.outputs, o)

    def fill(images: slice) -> None:
        for part in _parts(images, algorithm, max(o, x.shape[1]), x.element_size()):
            _correlate(algorithm, x[part], weight, result[part])

    in_parts(len(x), fill, at_least=FEWEST_IMAGES)
    if bias is not None:
        result += bias
    return result.permute(0, 3, 1, 2)


def _correlate(
    algorithm: Algorithm,
    images: Float[Tensor, "b c h w"],
    weight: Float[Tensor, "o c kh kw"],
    result: Float[Tensor, "b h2 w2 o"],
) -> None:
    n, o = len(images), len(weight)
    rows, columns = algorithm.rows, algorithm.columns
    products = images.new_empty(rows.points[0], rows.tiles * columns.tiles * n, o)
    strips = images.new_empty(columns.points[0], columns.tiles, rows.outputs, n * o)
    windows = algorithm.window_points(weight)
    pairs = zip(algorithm.order, algorithm.image_points(images), windows, strict=True)
    for (q, g), image_points, window_points in pairs:
        phases = zip(algorithm.phases(image_points), algorithm.phases(window_points), strict=True)
        for f, (image, window) in enumerate(phases):
            if f == g == 0:
                torch.bmm(image, window.mT, out=products)
            else:
                products[: len(image)].baddbmm_(image, window.mT)
        if (q, g + 1) not in algorithm.order:
            by_tile = products.view(-1, columns.tiles, n * o)
            for s in range(columns.tiles):
                torch.mm(algorithm.result_rows.t(), by_tile[:, s], out=strips[q, s])
    total = torch.mm(algorithm.result_columns.t(), strips.view(len(algorithm.result_columns), -1))
    result.copy_(total.view(columns.outputs, rows.outputs, n, o).permute(2, 1, 0, 3))


@torch.library.custom_op("capsnet::strided_conv2d_input_gradient", mutates_args=())
@in_their_own_type  # type: ignore[untyped-decorator]
def input_gradient(gradient: Tensor, weight: Tensor, size: list[int], stride: list[int]) -> Tensor:
    """The gradient in the image, of `size`, from the gradient in the result."""
    algorithm = Algorithm(size, [*weight.shape[2:]], stride, weight)
    o, c = weight.shape[:2]
    result = weight.new_empty(len(gradient), c, *size)

    def fill(images: slice) -> None:
        for part in _parts(images, algorithm, max(o, c), weight.element_size()):
            target = result[part]
            points = weight.new_empty(len(algorithm.image_rows), algorithm.tiles, len(target) * c)
            flat = target.flatten(0, 1)
            adjoint = _Adjoint(algorithm.image_rows, algorithm.image_columns, algorithm.tiles, flat.shape, flat)
            pairs = zip(algorithm.gradient_points(gradient[part]), algorithm.window_points(weight), strict=True)
            for products, window_points in pairs:
                outputs = algorithm.phases(points.view(len(window_points), -1, c))
                for output, window in zip(outputs, algorithm.phases(window_points), strict=True):
                    torch.bmm(products[: len(window)], window, out=output)
                adjoint.add(points)
            adjoint.finish()

    in_parts(len(gradient), fill, at_least=FEWEST_IMAGES)
    return result


@torch.library.custom_op("capsnet::strided_conv2d_weight_gradient", mutates_args=())
@in_their_own_type  # type: ignore[untyped-decorator]
def weight_gradient(gradient: Tensor, x: Tensor, window: list[int], stride: list[int]) -> Tensor:
    """The gradient in the weight, whose window is of size `window`, from the gradient in the result."""
    algorithm = Algorithm([*x.shape[2:]], window, stride, x)
    o, c = gradient.shape[1], x.shape[1]

    def find(images: slice) -> Tensor:
        points = x.new_empty(len(algorithm.window_rows), o, c)
        adjoint = _Adjoint(algorithm.window_rows, algorithm.window_columns, 1, (o * c, *window), None)
        for part in _parts(images, algorithm, max(o, c), x.element_size()):
            pairs = zip(algorithm.gradient_points(gradient[part]), algorithm.image_points(x[part]), strict=True)
            for products, image_points in pairs:
                for output, image in zip(algorithm.phases(points), algorithm.phases(image_points), strict=True):
                    torch.bmm(products[: len(image)].mT, image, out=output)
                adjoint.add(points.view(len(points), 1, -1))
        return adjoint.finish()

    total, *others = in_parts(len(x), find, at_least=FEWEST_IMAGES)
    while others:
        total += others.pop()
    return total.contiguous().view(o, c, *window)


# while a program is traced, sizes may be symbols


@strided_conv2d.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, stride: list[Any]) -> Tensor:
    h, w = ((size - taps) // step + 1 for size, taps, step in zip(x.shape[2:], weight.shape[2:], stride, strict=True))
    return x.new_empty(x.shape[0], h, w, weight.shape[0]).permute(0, 3, 1, 2)


@input_gradient.register_fake
def _(gradient: Tensor, weight: Tensor, size: list[Any], stride: list[Any]) -> Tensor:
    return weight.new_empty(gradient.shape[0], weight.shape[1], *size)


@weight_gradient.register_fake
def _(gradient: Tensor, x: Tensor, window: list[Any], stride: list[Any]) -> Tensor:
    return x.new_empty(gradient.shape[1], x.shape[1], *window)


# each of the three is linear in either argument, and the derivative in one is again one of the three


def _save(ctx: FunctionCtx, inputs: Any, output: Tensor) -> None:
    x, weight, bias, stride = inputs
    ctx.save_for_backward(x, weight)
    ctx.stride, ctx.has_bias = stride, bias is not None  # type: ignore[attr-defined]


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
    x, weight = ctx.saved_tensors
    needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
    # the one that works in more memory first, while the other's large result is not there yet
    for_weight = weight_gradient(gradient, x, [*weight.shape[2:]], ctx.stride) if needs_weight else None
    return (
        input_gradient(gradient, weight, [*x.shape[2:]], ctx.stride) if needs_x else None,
        for_weight,
        gradient.sum((0, 2, 3)) if needs_bias else None,
        None,
    )


def _save_two(ctx: FunctionCtx, inputs: Any, output: Tensor) -> None:
    first, second, _, stride = inputs
    ctx.save_for_backward(first, second)
    ctx.stride = stride  # type: ignore[attr-defined]


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
        input_gradient(gradient, weight, [*x.shape[2:]], ctx.stride) if ctx.needs_input_grad[1] else None,
        None,
        None,
    )


strided_conv2d.register_autograd(_backward, setup_context=_save)
input_gradient.register_autograd(_backward_of_input_gradient, setup_context=_save_two)
weight_gradient.register_autograd(_backward_of_weight_gradient, setup_context=_save_two)

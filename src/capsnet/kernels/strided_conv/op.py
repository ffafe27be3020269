"""Strided convolution by short bilinear algorithms, as three custom operators that are each other's derivatives.

Derivation and operation counts: README.md in this folder.

Axes: `b c h w` the image, `o` output channels, `k` taps; `f p t` phase, point and tile of the vertical axis,
`g q s` of the horizontal one. The work goes through groups of pairs (q, g). For each group all threads first transform
the windows together; then each thread goes through the pairs for its own images, so that what belongs to one pair stays
in the cache. The whole transformed image or window never exists.
"""

import functools
import itertools
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.kernels.strided_conv import compiled
from capsnet.kernels.strided_conv.bilinear import axis
from capsnet.kernels.threads import in_parts

F = TypeVar("F", bound=Callable[..., object])


def in_their_own_type(function: F) -> F:
    """Decorate a function whose products autocast would halve, in the middle of the algorithm."""
    decorated: F = torch.autocast("cpu", enabled=False)(function)
    return decorated


# of windows at the points of a group; in the weight's gradient each thread sums a block of this size
GROUP_BYTES = 21 << 20
# of images at the points of a group, in each thread
PART_BYTES = 12 << 20
# of what is converted or transposed at a time: it stays in the cache
PIECE_BYTES = 2 << 20
# images that a thread must have
FEWEST_IMAGES = 8


@dataclass(frozen=True)
class Group:
    """Some neighbouring points q with all their pairs (q, g).

    Attributes:
        points: q among all of them.
        pairs: (q, g) among all of them.
        order: each pair's q, counted from the group's first, and g.
    """

    points: slice
    pairs: slice
    order: list[tuple[int, int]]


class Algorithm:
    """The matrices of both axes in the dtype of a call, flattened to the forms that the matrix products need, and the
    memory in which each of its threads works."""

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
        self.image_columns = torch.stack([tensor(self.columns.image[g, q]) for q, g in self.order])  # (q g) s w
        self.window_columns = torch.stack([tensor(self.columns.window[g, q]) for q, g in self.order])  # (q g) k
        self.result_columns = tensor(self.columns.result)  # q s w
        self._rooms: dict[tuple[int, str], Tensor] = {}

    def room(self, name: str, *shape: int) -> Tensor:
        """Memory of any content, the same under one name for all groups and parts of a thread.

        New memory would cost a page fault for each page.
        """
        key, size = (threading.get_ident(), name), math.prod(shape)
        if key not in self._rooms or len(self._rooms[key]) < size:
            self._rooms[key] = self.result_columns.new_empty(size)
        return self._rooms[key][:size].view(shape)

    def groups(self, windows: int) -> Iterator[Group]:
        """Groups of as many pairs as fit a block of memory, for a number of windows; one q stays together.

        The groups have nearly the same number of points, the first ones the most.
        """
        bytes_of_a_pair = self.window_rows[:, 0].nbytes * windows
        most = max(1, GROUP_BYTES // (bytes_of_a_pair * len(self.columns.points)))
        count = self.columns.points[0]
        number = -(-count // most)
        edges = [-(-count * k // number) for k in range(number + 1)]
        for first, end in itertools.pairwise(edges):
            order = [(q - first, g) for q, g in self.order if first <= q < end]
            before = sum(q < first for q, _ in self.order)
            yield Group(slice(first, end), slice(before, before + len(order)), order)

    def parts(self, images: slice, group: Group, channels: int) -> list[slice]:
        """Equal parts of some images whose strips, with the larger number of channels, fit a block of memory."""
        count = images.stop - images.start
        bytes_of_one = self.image_rows[0].nbytes * self.tiles * len(group.order) * channels
        step = -(-count // max(1, -(-count * bytes_of_one // PART_BYTES)))
        return [slice(first, min(first + step, images.stop)) for first in range(images.start, images.stop, step)]

    def windows(self, weight: Float[Tensor, "o c kh kw"]) -> Iterator[tuple[Group, Float[Tensor, "pairs fp o c"]]]:
        """The windows at every point, one group after another, always in the same memory."""
        o, c, kh, kw = weight.shape
        groups = list(self.groups(o * c))
        memory = weight.new_empty(len(groups[0].order), len(self.window_rows), o, c)

        def transform(part: slice, group: Group, points: Tensor) -> None:
            columns = self.window_columns[group.pairs].unsqueeze(1)
            of_part = points[:, :, None, part].flatten(3)
            list(self._to_points(self.window_rows, columns, weight[part].reshape(-1, kh, kw), of_part))

        for group in groups:
            points = memory[: len(group.order)]
            in_parts(o, functools.partial(transform, group=group, points=points), at_least=1)
            yield group, points

    def image_points(self, group: Group, x: Float[Tensor, "b c h w"]) -> Iterator[Float[Tensor, "fp tsb c"]]:
        """The image at one pair of the group after another, always in the same memory."""
        b, c, h, w = x.shape
        points = self.room("image", len(self.image_rows), self.tiles, b * c)
        every = points.expand(len(group.order), -1, -1, -1)
        columns = self.image_columns[group.pairs]
        for filled in self._to_points(self.image_rows, columns, x.reshape(b * c, h, w), every):
            yield filled.view(len(self.window_rows), -1, c)

    def gradient_points(self, group: Group, gradient: Float[Tensor, "w h b o"]) -> Iterator[Float[Tensor, "p tsb o"]]:
        """The gradient of the products at one pair of the group after another: it is the same for all g."""
        _, h, b, o = gradient.shape
        columns = self.result_columns[group.points].flatten(0, 1).expand(h, -1, -1)
        strips = self.room("result strips", h, len(columns[0]), b * o)
        torch.bmm(columns, gradient.flatten(2).transpose(0, 1), out=strips)
        strips = strips.view(h, -1, self.tiles, b * o)
        products = self.room("products", len(self.result_rows), self.tiles, b * o)
        for q, g in group.order:
            if g == 0:
                for s in range(self.tiles):
                    torch.mm(self.result_rows, strips[:, q, s], out=products[:, s])
            yield products.view(self.rows.points[0], -1, o)

    def _to_points(
        self,
        rows: Float[Tensor, "points h"],
        columns: Float[Tensor, "pairs s w"],
        data: Float[Tensor, "n h w"],
        points: Float[Tensor, "pairs points s n"],
    ) -> Iterator[Float[Tensor, "points s n"]]:
        """Write rows · data · columnsᵀ to `points`, one pair after another, and yield each; pairs may share memory."""
        n, h, w = data.shape
        pairs, s, _ = columns.shape
        strips = self.room("strips", pairs * s, n * h)
        # only what is in another type must pass through the cache
        for piece in _pieces(n, h * w * points.element_size()) if data.dtype != points.dtype else [slice(0, n)]:
            flat = data[piece].reshape(-1, w).to(points.dtype)
            torch.mm(columns.flatten(0, 1), flat.t(), out=strips[:, piece.start * h : piece.stop * h])
        for pair, target in zip(strips.view(pairs, s, n, h), points, strict=True):
            for tile, places in enumerate(pair):
                torch.mm(rows, places.t(), out=target[:, tile])
            yield target

    def phases(self, points: Float[Tensor, "fp n c"]) -> list[Float[Tensor, "p n c"]]:
        """Split what stands at all vertical phases and points into one tensor for each phase."""
        return list(torch.split(points, list(self.rows.points)))


def _pieces(count: int, bytes_of_one: int) -> Iterator[slice]:
    each = max(1, PIECE_BYTES // bytes_of_one)
    return (slice(first, min(first + each, count)) for first in range(0, count, each))


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
        in_parts(len(x), functools.partial(fill, group=group, windows=windows), at_least=FEWEST_IMAGES)
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
        in_parts(len(gradient), functools.partial(fill, group=group, windows=windows), at_least=FEWEST_IMAGES)
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
        partial_sums = in_parts(len(x), functools.partial(find, group=group), at_least=FEWEST_IMAGES)
        in_parts(o, functools.partial(add, group=group, partial_sums=partial_sums), at_least=1)
        del partial_sums
    result = gradient.new_empty(o, c, *window)

    def finish(part: slice) -> None:
        _to_taps(algorithm.window_columns, strips[:, :, part].flatten(2), result[part].flatten(0, 1))

    in_parts(o, finish, at_least=1)
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
    for piece in _pieces(n, target[0].nbytes):
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

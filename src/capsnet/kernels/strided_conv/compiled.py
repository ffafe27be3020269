"""The strided convolution and its gradients in C: `strided_conv.c`, for float32 and multiples of 32 channels."""

import ctypes
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.kernels import native
from capsnet.kernels.strided_conv import bilinear
from capsnet.threads import in_parts

SOURCE = Path(__file__).with_name("strided_conv.c")
PANEL = 32
# rows of a matrix product: what one block of images gives, so that it stays in the cache
_ROWS = 64
# images whose points lie in memory together while their products are summed
_IMAGES = 64
# horizontal points of one pass over the images
_POINTS = 2
# up to this number, images pass through all points at once: threads share the channels, windows stay in the cache
_FEW = 24
_MOST_PHASES = 4
_MOST_PLACES = 512

# while a program is traced, sizes may be symbols
_Size = int | torch.SymInt


class _Axis(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("size", "taps", "outputs", "tiles", "phases", "points", "rows")),
        *((name, ctypes.c_void_p) for name in ("counts", "image", "window", "result")),
    ]


class _Plan(ctypes.Structure):
    _fields_ = [
        ("vertical", _Axis),
        ("horizontal", _Axis),
        *((name, ctypes.c_int64) for name in ("channels", "outputs", "first", "last")),
    ]


def refuses(x: Tensor, weight: Tensor, stride: list[int]) -> str | None:
    """The reason why PyTorch computes the convolution; None if C does."""
    return _refuses_kind(weight.dtype, x.dtype, weight.shape[:2], stride) or _refuses_size(x.shape)


def refuses_input_gradient(gradient: Tensor, weight: Tensor, size: list[int], stride: list[int]) -> str | None:
    """The reason why PyTorch computes the gradient in the image; None if C does."""
    return refuses_input_gradients(gradient, weight, stride) or _refuses_size([*gradient.shape, *size])


def refuses_input_gradients(gradient: Tensor, weight: Tensor, stride: list[int]) -> str | None:
    """The same for gradients of any size, which symbols may stand for; None: they lie in channels-last order."""
    return _refuses_kind(weight.dtype, gradient.dtype, weight.shape[:2], stride)


def refuses_weight_gradient(gradient: Tensor, x: Tensor, stride: list[int]) -> str | None:
    """The reason why PyTorch computes the gradient in the weight; None if C does."""
    channels = gradient.shape[1], x.shape[1]
    return _refuses_kind(gradient.dtype, x.dtype, channels, stride) or _refuses_size(x.shape)


def _refuses_kind(dtype: torch.dtype, other: torch.dtype, channels: Sequence[_Size], stride: list[int]) -> str | None:
    if dtype != torch.float32 or other not in (torch.float32, torch.bfloat16):
        return f"it computes in float32, and the tensors are {other} and {dtype}"
    if any(count % PANEL for count in channels):
        return f"it needs multiples of {PANEL} channels, and there are {channels[1]} and {channels[0]}"
    if max(stride) > _MOST_PHASES:
        return f"it needs strides up to {_MOST_PHASES}, and they are {stride}"
    return native.refuses(SOURCE)


def _refuses_size(shape: Sequence[_Size]) -> str | None:
    if 0 in shape or max(shape[2:]) > _MOST_PLACES:
        return f"it needs 1 to {_MOST_PLACES} places a side, and the shape is {tuple(shape)}"
    return None


class Plan:
    """The algorithm of a call as C reads it.

    Args:
        size: places of the image, vertical and horizontal.
        window: taps.
        stride: steps.
        outputs: output channels.
        channels: input channels.
    """

    def __init__(self, size: list[int], window: list[int], stride: list[int], outputs: int, channels: int) -> None:
        (vertical, rows), (horizontal, columns) = map(_build_axis, size, window, stride)
        self._matrices = rows + columns
        self.points = int(horizontal.points)
        self.phases = int(horizontal.phases)
        self.vertical_points, self.rows = int(vertical.points), int(vertical.rows)
        self.tiles = int(vertical.tiles * horizontal.tiles)
        self.result_size = int(vertical.outputs), int(horizontal.outputs)
        self.outputs, self.channels = outputs, channels
        self.block = max(1, _ROWS // self.tiles)
        self.passes = [(first, min(first + _POINTS, self.points)) for first in range(0, self.points, _POINTS)]
        self.every = 0, self.points
        self._axes = vertical, horizontal
        self._library = native.load(SOURCE)
        for name in ("room_size", "panel_room_size"):
            getattr(self._library, name).restype = ctypes.c_int64

    def call(self, name: str, points: tuple[int, int], *arguments: Tensor | int) -> int:
        """Call a function of the library for some horizontal points with the addresses of tensors, and numbers."""
        plan = _Plan(*self._axes, self.channels, self.outputs, *points)
        values = (native.pointer(value) if isinstance(value, Tensor) else ctypes.c_int64(value) for value in arguments)
        result: int = getattr(self._library, name)(ctypes.byref(plan), *values)
        return result

    def pairs(self, points: tuple[int, int]) -> int:
        """The most pairs of a phase and one of some horizontal points."""
        return self.phases * (points[1] - points[0])

    def points_room(self, points: tuple[int, int], images: int) -> tuple[Tensor, Tensor]:
        """Room for images, and for the gradient of their products, at some horizontal points."""
        rows = (images * self.tiles) | 1
        products = (points[1] - points[0]) * self.vertical_points * self.outputs * rows
        return _new_room(self.pairs(points) * self.rows * self.channels * rows), _new_room(products)

    def room(self, name: str, points: tuple[int, int], images: int) -> Tensor:
        """Room to work in for one thread, as large as a function of the library says."""
        return _new_room(self.call(name, points, images))

    def turn(self, weight: Tensor) -> None:
        """Turn a weight that lies as `o c/32 k 32` into `o c k`."""

        def turn(part: slice) -> None:
            self.call("turn_windows", self.passes[0], weight, part.start, part.stop)

        in_parts(self.channels // PANEL * self.outputs, turn, at_least=PANEL)


def _new_room(size: int) -> Tensor:
    # the defaults of torch, which a caller may have set, are not what C writes
    return torch.empty(size, dtype=torch.float32, device="cpu")


def _build_axis(size: int, taps: int, stride: int) -> tuple[_Axis, list[Tensor]]:
    """An axis as C reads it, and the tensors that hold its matrices, which must be kept as long as it."""
    axis = bilinear.axis(size, taps, stride)
    phases = list(enumerate(axis.points))
    image = np.concatenate([axis.image[phase, :count] for phase, count in phases])
    window = np.concatenate([axis.window[phase, :count] for phase, count in phases])
    arrays = image, window, axis.result
    counts = torch.tensor(axis.points, dtype=torch.int64, device="cpu")
    matrices = [torch.tensor(array, dtype=torch.float32, device="cpu").contiguous() for array in arrays]
    sizes = size, taps, axis.outputs, axis.tiles, len(phases), axis.points[0], len(image)
    return _Axis(*sizes, *(tensor.data_ptr() for tensor in (counts, *matrices))), [counts, *matrices]


@functools.lru_cache(maxsize=64)
def _plan(size: tuple[int, ...], window: tuple[int, ...], stride: tuple[int, ...], outputs: int, channels: int) -> Plan:
    return Plan(list(size), list(window), list(stride), outputs, channels)


def correlate(
    x: Float[Tensor, "b c h w"], weight: Float[Tensor, "o c kh kw"], stride: list[int]
) -> Float[Tensor, "b o h2 w2"]:
    """`conv2d(x, weight, stride=stride)`, in channels-last order."""
    plan = _plan(tuple(x.shape[2:]), tuple(weight.shape[2:]), tuple(stride), *weight.shape[:2])
    images, weight = _channels_last(x), weight.contiguous()
    result = weight.new_empty(len(x), *plan.result_size, plan.outputs)

    def work(points: tuple[int, int], windows: Tensor, part: slice, room: Tensor) -> None:
        bfloat16 = int(images.dtype == torch.bfloat16)
        plan.call("correlate", points, images, bfloat16, windows, result, part.start, part.stop, plan.block, room)

    if len(x) > _FEW:
        _at_each_point(plan, weight, len(x), work, by_channel=False)
    else:
        image_points = plan.points_room(plan.every, len(x))[0]
        _find_image_points(plan, plan.every, images, image_points)
        _in_panels(plan, "correlate_panels", image_points, weight, result, plan.outputs)
    return result.permute(0, 3, 1, 2)


def input_gradient(
    gradient: Float[Tensor, "b o h2 w2"], weight: Float[Tensor, "o c kh kw"], size: list[int], stride: list[int]
) -> Float[Tensor, "b c h w"]:
    """The gradient in the image, in channels-last order."""
    plan = _plan(tuple(size), tuple(weight.shape[2:]), tuple(stride), *weight.shape[:2])
    given, weight = _channels_last(gradient.to(weight.dtype)), weight.contiguous()
    result = weight.new_empty(len(gradient), *size, plan.channels)

    def work(points: tuple[int, int], windows: Tensor, part: slice, room: Tensor) -> None:
        plan.call("spread", points, given, windows, result, part.start, part.stop, plan.block, room)

    if len(gradient) > _FEW:
        _at_each_point(plan, weight, len(gradient), work, by_channel=True)
    else:
        products = plan.points_room(plan.every, len(given))[1]
        _find_gradient_points(plan, plan.every, given, products)
        _in_panels(plan, "spread_panels", products, weight, result, plan.channels)
    return result.permute(0, 3, 1, 2)


def weight_gradient(
    gradient: Float[Tensor, "b o h2 w2"], x: Float[Tensor, "b c h w"], window: list[int], stride: list[int]
) -> Float[Tensor, "o c kh kw"]:
    """The gradient in the weight."""
    o, c = gradient.shape[1], x.shape[1]
    plan = _plan(tuple(x.shape[2:]), tuple(window), tuple(stride), o, c)
    result = gradient.new_empty(o, c, *window)
    passes = plan.passes if len(x) > _FEW else [plan.every]
    points, products = plan.points_room(passes[0], min(len(x), _IMAGES))
    for start in range(0, len(x), _IMAGES):
        images, given = _channels_last(x[start : start + _IMAGES]), _channels_last(gradient[start : start + _IMAGES])
        for some in passes:
            _find_image_points(plan, some, images, points)
            _find_gradient_points(plan, some, given, products)
            add = start > 0 or some[0] > 0
            multiply = functools.partial(_add_products, plan, some, points, products, result, len(images), add)
            in_parts(c // PANEL * (o // PANEL), multiply, at_least=1)
    plan.turn(result)
    return result


def _add_products(
    plan: Plan,
    some: tuple[int, int],
    points: Tensor,
    products: Tensor,
    laid: Tensor,
    images: int,
    add: bool,
    part: slice,
) -> None:
    room = laid.new_empty(plan.pairs(some) * plan.rows * PANEL * PANEL)
    rows = images * plan.tiles
    plan.call("add_products", some, points, products, rows, laid, int(add), part.start, part.stop, room)


def _find_image_points(plan: Plan, some: tuple[int, int], images: Float[Tensor, "b h w c"], points: Tensor) -> None:
    """Write images at some points, as matrices of a row for each tile of each image."""
    rows, bfloat16 = len(images) * plan.tiles, int(images.dtype == torch.bfloat16)

    def find(part: slice) -> None:
        room = plan.room("room_size", some, 0)
        plan.call("find_image_points", some, images, bfloat16, points, part.start, part.stop, rows, room)

    in_parts(len(images), find, at_least=1)


def _find_gradient_points(
    plan: Plan, some: tuple[int, int], gradient: Float[Tensor, "b h2 w2 o"], products: Tensor
) -> None:
    """Write the gradient of the products at some points, as matrices of a row for each tile of each image."""
    rows = len(gradient) * plan.tiles

    def find(part: slice) -> None:
        room = plan.room("room_size", some, 0)
        plan.call("find_gradient_points", some, gradient, products, part.start, part.stop, rows, room)

    in_parts(len(gradient), find, at_least=1)


def _in_panels(
    plan: Plan, name: str, points: Tensor, weight: Tensor, result: Float[Tensor, "b h w channels"], channels: int
) -> None:
    """Compute a result of few images, some panels of its channels in each thread."""

    def work(part: slice) -> None:
        room = plan.room("panel_room_size", plan.every, len(result))
        plan.call(name, plan.every, points, weight, result, len(result), part.start, part.stop, room)

    in_parts(channels // PANEL, work, at_least=1)


def _at_each_point(
    plan: Plan,
    weight: Tensor,
    images: int,
    work: Callable[[tuple[int, int], Tensor, slice, Tensor], None],
    *,
    by_channel: bool,
) -> None:
    """Transform the windows at some points after others, and do the work of the images there."""
    items = plan.channels * plan.outputs // PANEL
    windows = weight.new_empty(plan.pairs(plan.passes[0]) * plan.rows * (items | 1) * PANEL)
    rooms: dict[int, Tensor] = {}

    def transform(points: tuple[int, int], part: slice) -> None:
        plan.call("transform_windows", points, weight, windows, int(by_channel), part.start, part.stop)

    def multiply(points: tuple[int, int], part: slice) -> None:
        room = rooms.setdefault(part.start, plan.room("room_size", plan.passes[0], plan.block))
        work(points, windows, part, room)

    for points in plan.passes:
        in_parts(items, functools.partial(transform, points), at_least=PANEL)
        in_parts(images, functools.partial(multiply, points), at_least=1)


def _channels_last(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w c"]:
    return x.permute(0, 2, 3, 1).contiguous()

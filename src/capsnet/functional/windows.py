"""Windows of a convolutional capsule layer: the children in each window, and those shared between windows."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.torch_internals import is_in_graph


class Windows(NamedTuple):
    """The children of each window `p`, a position in the layer above.

    A routing treats windows as samples: its batch axis is `(b p)`, batch first. If parents of overlapping windows
    compete for a child, `log_softmax` replaces the softmax over the parents of one window.

    Args:
        children: index of each window's children in the layer below.
        num_children: number of children in the layer below.

    Shapes:
        children `p i`.
    """

    children: Int[Tensor, "p i"]
    num_children: int

    def log_softmax(self, logits: Float[Tensor, "bp i j"]) -> Float[Tensor, "bp i j"]:
        """Normalise over all parents of a child: over types and over the windows that contain it."""
        flat = logits.logsumexp(dim=2).reshape(-1, self.children.numel())  # b (p i)
        child = self.children.flatten().expand(len(flat), -1)
        lowest = flat.new_full((len(flat), self.num_children), -torch.inf)
        # the peak is a constant to autograd: the result does not depend on it
        peak = lowest.scatter_reduce(1, child, flat.detach(), "amax").gather(1, child)
        sums = flat.new_zeros(len(flat), self.num_children).scatter_add(1, child, (flat - peak).exp())
        return logits - (sums.gather(1, child).log() + peak).reshape(logits.shape[:2])[..., None]


def parent_softmax(logits: Float[Tensor, "b i j"], windows: Windows | None = None) -> Float[Tensor, "b i j"]:
    """Distribute each child over the parents that receive from it.

    Args:
        logits: how well each parent explains each child.
        windows: windows of a convolutional layer, whose parents compete across windows; None: within each window.

    Shapes:
        logits and result `b i j`; with windows, `b` is `(b p)`.
    """
    return (logits.log_softmax(dim=2) if windows is None else windows.log_softmax(logits)).exp()


def window_children(
    grid: tuple[int, int],
    num_types: int,
    kernel_size: tuple[int, int],
    stride: int,
    device: torch.device | str | None = None,
) -> Int[Tensor, "p i"]:
    """Number the children of all windows that fit into a grid of capsules.

    Args:
        grid: rows and columns of the layer below.
        num_types: types of capsule at each position; capsules are in the order row, column, type.
        kernel_size: rows and columns of a window.
        stride: of the window.
        device: of the result.

    Shapes:
        result `p i`: windows in the order row, column; in each, children in the order row, column, type.
    """
    numbers = torch.arange(grid[0] * grid[1] * num_types, device=device).reshape(*grid, num_types)
    windows = numbers.unfold(0, kernel_size[0], stride).unfold(1, kernel_size[1], stride)  # y x type row column
    return windows.permute(0, 1, 3, 4, 2).reshape(windows.shape[0] * windows.shape[1], -1).contiguous()


def gather_windows(
    values: Float[Tensor, "b all c"],
    grid: tuple[int, int],
    kernel_size: tuple[int, int],
    stride: int,
    padding: int = 0,
) -> Float[Tensor, "bp i c"]:
    """Lay out the values of capsules window by window: `values[:, window_children(...)]` of a padded grid.

    Gradients of a child in several windows are summed in a fixed order, so results are bitwise equal for any number of
    threads; the backward pass of plain indexing depends on thread order.

    Args:
        values: numbers of each capsule, in the order row, column, type.
        grid: rows and columns of the capsules.
        kernel_size: rows and columns of a window.
        stride: of the window.
        padding: rows and columns of zeros around the grid.

    Shapes:
        values `b (h w type) c`; result `(b p) (row column type) c`.
    """
    samples, capsules, width = values.shape
    types = capsules // (grid[0] * grid[1])
    places = values.reshape(samples, *grid, types * width)
    if padding:
        places = nn.functional.pad(places, (0, 0, *[padding] * 4))
    if tuple(places.shape[1:3]) == kernel_size:
        return places.reshape(samples, kernel_size[0] * kernel_size[1] * types, width)
    windows = _slices(places, kernel_size, stride) if is_in_graph() else _Gather.apply(places, kernel_size, stride)
    return windows.reshape(samples * windows.shape[1] * windows.shape[2], windows.shape[3] * types, width)


def _slices(places: Float[Tensor, "b h w c"], sides: tuple[int, int], stride: int) -> Float[Tensor, "b y x k c"]:
    """Windows as a stack of strided slices, which a compiler turns into one loop, forward and backward."""
    rows, columns = ((room - side) // stride for room, side in zip(places.shape[1:3], sides, strict=True))
    return torch.stack([places[:, y, x] for y, x in _offsets(sides, rows, columns, stride)], dim=3)


def _offsets(sides: tuple[int, int], rows: int, columns: int, stride: int) -> list[tuple[slice, slice]]:
    """Slices of the first, second, ... position of all windows; the last window is `rows`, `columns` strides away."""
    return [
        (slice(y, y + rows * stride + 1, stride), slice(x, x + columns * stride + 1, stride))
        for y in range(sides[0])
        for x in range(sides[1])
    ]


class _Gather(torch.autograd.Function):
    """Windows of places `b h w c`, as `b y x k c`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(places: Tensor, sides: tuple[int, int], stride: int) -> Tensor:
        windows = places.unfold(1, sides[0], stride).unfold(2, sides[1], stride)  # b y x c row column
        return windows.permute(0, 1, 2, 4, 5, 3).flatten(3, 4).contiguous()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, tuple[int, int], int], output: Tensor) -> None:
        places, ctx.sides, ctx.stride = inputs
        ctx.room = (places.shape[1], places.shape[2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Scatter.apply(gradient, ctx.room, ctx.sides, ctx.stride), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        result: Tensor = _Gather.apply(tangent, ctx.sides, ctx.stride)
        return result


class _Scatter(torch.autograd.Function):
    """The transpose of `_Gather`: add up windows `b y x k c` at their places `b h w c`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(windows: Tensor, room: tuple[int, int], sides: tuple[int, int], stride: int) -> Tensor:
        places = windows.new_zeros(len(windows), *room, windows.shape[4])
        offsets = _offsets(sides, windows.shape[1] - 1, windows.shape[2] - 1, stride)
        for number, (y, x) in enumerate(offsets):
            places[:, y, x] += windows[:, :, :, number]
        return places

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, tuple[int, int], tuple[int, int], int], output: Tensor) -> None:
        _, ctx.room, ctx.sides, ctx.stride = inputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return _Gather.apply(gradient, ctx.sides, ctx.stride), None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        result: Tensor = _Scatter.apply(tangent, ctx.room, ctx.sides, ctx.stride)
        return result

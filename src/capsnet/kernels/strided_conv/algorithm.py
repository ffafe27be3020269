"""The bilinear algorithm of a strided convolution in PyTorch's operations: transforms of windows, images and gradients.

Names of axes and the order of the work: `op.py`.
"""

import functools
import itertools
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.kernels.strided_conv.bilinear import axis
from capsnet.threads import in_pieces

# pieces of the output channels, which threads share
CHANNEL_PIECES = 8
# of windows at the points of a group; each partial sum of the weight's gradient is a block of this size
GROUP_BYTES = 21 << 20
# of images at the points of a group, in each thread
PART_BYTES = 12 << 20
# of what is converted or transposed at a time: it stays in the cache
PIECE_BYTES = 2 << 20


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
            return torch.as_tensor(rows, dtype=like.dtype, device=like.device)

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
            in_pieces(o, CHANNEL_PIECES, functools.partial(transform, group=group, points=points))
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
        for piece in pieces(n, h * w * points.element_size()) if data.dtype != points.dtype else [slice(0, n)]:
            flat = data[piece].reshape(-1, w).to(points.dtype)
            torch.mm(columns.flatten(0, 1), flat.t(), out=strips[:, piece.start * h : piece.stop * h])
        for pair, target in zip(strips.view(pairs, s, n, h), points, strict=True):
            for tile, places in enumerate(pair):
                torch.mm(rows, places.t(), out=target[:, tile])
            yield target

    def phases(self, points: Float[Tensor, "fp n c"]) -> list[Float[Tensor, "p n c"]]:
        """Split what stands at all vertical phases and points into one tensor for each phase."""
        return list(torch.split(points, list(self.rows.points)))


def pieces(count: int, bytes_of_one: int) -> Iterator[slice]:
    each = max(1, PIECE_BYTES // bytes_of_one)
    return (slice(first, min(first + each, count)) for first in range(0, count, each))

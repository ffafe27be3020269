"""Windows of a convolutional capsule layer: which children each of them holds, and which children they share."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Windows(NamedTuple):
    """The children of each window `p`, a place in the layer above.

    A routing sees windows as samples: its batch axis is `(b p)`, batch first. Where parents of overlapping windows
    compete for a child, `log_softmax` takes the place of a softmax over the parents of one window.

    Args:
        children: number of each child of each window, in the layer below.
        num_children: how many children the layer below has.

    Shapes:
        children `p i`.
    """

    children: Int[Tensor, "p i"]
    num_children: int

    def gather(self, values: Float[Tensor, "b all *rest"]) -> Float[Tensor, "bp i *rest"]:
        """Lay out what belongs to children window by window."""
        return values[:, self.children].flatten(0, 1)

    def log_softmax(self, logits: Float[Tensor, "bp i j"]) -> Float[Tensor, "bp i j"]:
        """Normalise over all parents that receive from a child: over types and over the windows that hold it."""
        flat = logits.logsumexp(dim=2).reshape(-1, self.children.numel())  # b (p i)
        child = self.children.flatten().expand(len(flat), -1)
        lowest = flat.new_full((len(flat), self.num_children), -torch.inf)
        # the peak is a constant to autograd: the result does not depend on it
        peak = lowest.scatter_reduce(1, child, flat.detach(), "amax").gather(1, child)
        sums = flat.new_zeros(len(flat), self.num_children).scatter_add(1, child, (flat - peak).exp())
        return logits - (sums.gather(1, child).log() + peak).reshape(logits.shape[:2])[..., None]


def window_children(
    grid: tuple[int, int], num_types: int, kernel_size: tuple[int, int], stride: int
) -> Int[Tensor, "p i"]:
    """Number the children of all windows that fit into a grid of capsules.

    Args:
        grid: rows and columns of the layer below.
        num_types: kinds of capsule at each place; capsules are in the order row, column, type.
        kernel_size: rows and columns of a window.
        stride: step of the window.

    Shapes:
        result `p i`: windows in the order row, column; in each, children in the order row, column, type.
    """
    numbers = torch.arange(grid[0] * grid[1] * num_types).reshape(*grid, num_types)
    windows = numbers.unfold(0, kernel_size[0], stride).unfold(1, kernel_size[1], stride)  # y x type row column
    return windows.permute(0, 1, 3, 4, 2).reshape(windows.shape[0] * windows.shape[1], -1).contiguous()

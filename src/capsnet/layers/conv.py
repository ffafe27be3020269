"""A convolutional capsule layer: a parent sees the children of one window, through matrices shared over places.

Hinton, Sabour, Frosst, "Matrix capsules with EM routing", ICLR 2018, sections 4 and 4.1.
"""

from collections.abc import Mapping
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.functional import Windows, dense_votes, gather_windows, window_children
from capsnet.layers.dense import check_rows, check_sizes
from capsnet.routing import Routing, make_routing

Side = int | tuple[int, int]


class ConvCapsules(nn.Module):
    """Every capsule of a window votes for every parent type at the window's place; a routing makes the parents.

    Capsules are in the order row, column, type. A routing whose parents compete for a child across places (EM,
    variational Bayes) is told which windows hold it. Votes and routing are computed in the type of `weight`.

    Args:
        child_types: kinds of child capsule at each place.
        parent_types: kinds of parent capsule at each place.
        grid: rows and columns of the children.
        kernel_size: side of a window, or its rows and columns; None: the whole grid, as in a class layer.
        stride: step of the window.
        padding: rows and columns of absent capsules (pose and activation zero) added around the grid.
        child_dim: numbers of a child's pose.
        parent_dim: numbers of a parent's pose.
        pose_rows: rows of a pose: 1 for vectors, 4 for the paper's 4x4 matrices. A vote is the pose times a matrix.
        shared: one matrix for all places of a window too, as in the paper's class layer.
        coordinates: where each child's place is; it is added to two entries of its votes (coordinate addition), so
            that a shared matrix does not lose it.
        coordinate_entries: those two entries.
        routing: a name in `capsnet.routing.ROUTINGS`, or a `Routing` for the children of a window.
        routing_options: arguments of a routing given by name.

    Attributes:
        out_grid: rows and columns of the parents.

    Shapes:
        children `b (h w child_types) c`; poses `b (h' w' parent_types) d`, activations `b (h' w' parent_types)`;
        coupling: `b i j` where there is one window, and None where there are several; coordinates `h w 2`.

    Raises:
        UserError: a size below 1, poses that are no whole number of rows, a window larger than the grid, coordinates
            or children of another shape, or an unknown routing.

    Example:
        >>> layer = ConvCapsules(8, 16, grid=(14, 14), kernel_size=3, stride=2, pose_rows=4, routing="em")
        >>> layer.out_grid
        (6, 6)
    """

    members: Tensor
    offsets: Tensor | None

    def __init__(
        self,
        child_types: int,
        parent_types: int,
        *,
        grid: tuple[int, int],
        kernel_size: Side | None = 3,
        stride: int = 1,
        padding: int = 0,
        child_dim: int = 16,
        parent_dim: int = 16,
        pose_rows: int = 1,
        shared: bool = False,
        coordinates: Float[Tensor, "h w 2"] | None = None,
        coordinate_entries: tuple[int, int] = (0, 1),
        routing: str | Routing = "em",
        routing_options: Mapping[str, object] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(child_types=child_types, parent_types=parent_types, grid=grid)
        check_sizes(kernel_size=kernel_size, stride=stride, padding=padding, coordinate_entries=coordinate_entries)
        check_rows(pose_rows, child_dim=child_dim, parent_dim=parent_dim)
        self.child_types, self.parent_types, self.grid, self.padding = child_types, parent_types, grid, padding
        self.child_dim, self.parent_dim, self.pose_rows, self.shared = child_dim, parent_dim, pose_rows, shared
        padded = (grid[0] + 2 * padding, grid[1] + 2 * padding)
        if kernel_size is None:
            kernel_size = padded
        self.kernel_size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        self.stride = stride
        if any(side > room or side < 1 for side, room in zip(self.kernel_size, padded, strict=True)):
            raise UserError(f"kernel_size must fit into the grid {padded}, got {self.kernel_size}")
        rows, columns = ((room - side) // stride + 1 for side, room in zip(self.kernel_size, padded, strict=True))
        self.out_grid = (rows, columns)
        self.register_buffer(
            "members", window_children(padded, child_types, self.kernel_size, stride).to(device), persistent=False
        )
        num_children = self.kernel_size[0] * self.kernel_size[1] * child_types
        self.num_matrices = child_types if shared else num_children
        self.weight = nn.Parameter(
            torch.empty(
                self.num_matrices,
                child_dim // pose_rows,
                parent_types,
                parent_dim // pose_rows,
                device=device,
                dtype=dtype,
            )
        )
        self.routing = make_routing(
            routing,
            num_children,
            parent_types,
            child_dim=child_dim,
            parent_dim=parent_dim,
            options=routing_options,
            device=device,
            dtype=dtype,
        )
        offsets = None if coordinates is None else self._offsets(coordinates, coordinate_entries).to(device, dtype)
        self.register_buffer("offsets", offsets, persistent=False)
        self.reset_parameters()

    def _offsets(self, coordinates: Float[Tensor, "h w 2"], entries: tuple[int, int]) -> Float[Tensor, "p i 1 d"]:
        if coordinates.shape[:2] != self.grid:
            raise UserError(f"coordinates must be {self.grid} x 2, got {tuple(coordinates.shape)}")
        if any(not 0 <= entry < self.parent_dim for entry in entries):
            raise UserError(f"coordinate_entries must be below parent_dim, {self.parent_dim}, got {entries}")
        everywhere = coordinates.new_zeros(*self.grid, self.parent_dim)
        everywhere[..., list(entries)] = coordinates
        everywhere = nn.functional.pad(everywhere, (0, 0, *[self.padding] * 4))
        return everywhere.flatten(0, 1)[self.members // self.child_types][:, :, None]

    def reset_parameters(self) -> None:
        """Normal; at first the mean share of a window is as long as one child, times `initial_gain` of the routing.

        The papers each state another one.
        """
        std = self.parent_types / sqrt(self.members.shape[1] * self.weight.shape[3])
        nn.init.normal_(self.weight, std=self.routing.initial_gain() * std)

    def forward(self, children: Capsules | RoutingOutput) -> RoutingOutput:
        """Find the parents of `children`."""
        with torch.autocast(self.weight.device.type, enabled=False):
            inside = self.gather(children)
            found = self.routing.route_children(inside, self.matrices(), offsets=self.offsets, windows=self.windows())
            samples = len(children.poses)
            return RoutingOutput(
                found.poses.reshape(samples, -1, self.parent_dim),
                found.activations.reshape(samples, -1),
                found.coupling if len(self.members) == 1 else None,
            )

    def windows(self) -> Windows | None:
        """The layout of several windows; None for one, in which nothing overlaps."""
        padded = [side + 2 * self.padding for side in self.grid]
        several = len(self.members) > 1
        return Windows(self.members, padded[0] * padded[1] * self.child_types) if several else None

    def gather(self, children: Capsules | RoutingOutput) -> Capsules:
        """Lay out children window by window: poses `(b p) i c`, activations `(b p) i`."""
        expected = (self.grid[0] * self.grid[1] * self.child_types, self.child_dim)
        if children.poses.shape[1:] != expected:
            raise UserError(f"children must be b x {expected}, got {tuple(children.poses.shape)}")
        dtype = self.weight.dtype
        poses, activations = children.poses.to(dtype), children.activations.to(dtype)[..., None]
        layout = (self.grid, self.kernel_size, self.stride, self.padding)
        return Capsules(gather_windows(poses, *layout), gather_windows(activations, *layout)[..., 0])

    def matrices(self) -> Float[Tensor, "i c j d"]:
        """A transformation matrix for each child of a window."""
        return self.weight.repeat(self.kernel_size[0] * self.kernel_size[1], 1, 1, 1) if self.shared else self.weight

    def votes(self, inside: Capsules) -> Float[Tensor, "bp i j d"]:
        """The votes of children that are laid out window by window."""
        return dense_votes(inside.poses, self.matrices(), self.offsets)

    def extra_repr(self) -> str:
        return (
            f"{self.grid} x {self.child_types} x {self.child_dim}D -> {self.out_grid} x {self.parent_types} x "
            f"{self.parent_dim}D, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"weight {tuple(self.weight.shape)}"
        )

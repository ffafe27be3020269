"""A convolutional capsule layer: each parent receives votes from one window, through matrices shared over positions.

Hinton, Sabour, Frosst, "Matrix capsules with EM routing", ICLR 2018, sections 4 and 4.1.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod, sqrt

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.capsules import Capsules, RoutingOutput, check_capsules
from capsnet.errors import UserError
from capsnet.functional import Windows, dense_votes, gather_windows, window_children
from capsnet.functional.precision import without_autocast
from capsnet.layers.dense import check_sizes, count_rows, shape_from_rows
from capsnet.renamed import renamed
from capsnet.routing import Routing, make_routing

Grid = tuple[int, int]
Side = int | tuple[int, int]


@renamed(
    {"pose_rows": partial(shape_from_rows, child_dim=16)},
    child_types="num_child_types",
    parent_types="num_parent_types",
    pose_rows="pose_shape",
)
class ConvCapsules(nn.Module):
    """Every capsule of a window votes for every parent type at the window's position; a routing computes the parents.

    Capsules are in the order row, column, type. A routing whose parents compete for a child across places (EM,
    variational Bayes) receives the windows. Votes and routing are computed in the type of `weight`.

    Args:
        num_child_types: types of child capsule at each position.
        num_parent_types: types of parent capsule at each position.
        grid: rows and columns of the children; None: taken from `Capsules.grid`.
        kernel_size: side of a window, or its rows and columns; None: the whole `grid`, as in a class layer.
        stride: of the window.
        padding: rows and columns of absent capsules (pose and activation zero) added around the grid.
        child_dim: dimension of a child's pose.
        parent_dim: dimension of a parent's pose.
        pose_shape: rows and columns of a child's pose: (4, 4) for the paper's matrices. A vote is the pose times a
            matrix, and has as many rows. None: poses are vectors.
        shared: one matrix for all places of a window too, as in the paper's class layer.
        coordinates: position of each child, added to two entries of its votes (coordinate addition), because a shared
            matrix would lose it.
        coordinate_entries: those two entries.
        routing: a name in `capsnet.routing.ROUTINGS`, or a `Routing` for the children of a window.
        routing_options: arguments of a routing given by name.

    Attributes:
        out_grid: rows and columns of the parents; None without `grid`.

    Shapes:
        children `b (h w num_child_types) c`; poses `b (h' w' num_parent_types) d`, activations
        `b (h' w' num_parent_types)`; coupling: `b i j` for one window, None for several;
        coordinates `h w 2`.

    Raises:
        UserError: a size below 1, poses that do not have the shape, a window larger than the grid, coordinates or
            children of another shape or grid, no grid where one is needed, or an unknown routing.

    Example:
        >>> layer = ConvCapsules(8, 16, grid=(14, 14), kernel_size=3, stride=2, pose_shape=(4, 4), routing="em")
        >>> layer.out_grid
        (6, 6)
    """

    members: Tensor | None
    offsets: Tensor | None

    def __init__(
        self,
        num_child_types: int,
        num_parent_types: int,
        *,
        grid: Grid | None = None,
        kernel_size: Side | None = 3,
        stride: int = 1,
        padding: int = 0,
        child_dim: int = 16,
        parent_dim: int = 16,
        pose_shape: tuple[int, int] | None = None,
        shared: bool = False,
        coordinates: Float[Tensor, "h w 2"] | None = None,
        coordinate_entries: tuple[int, int] = (0, 1),
        routing: str | Routing = "em",
        routing_options: Mapping[str, object] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(num_child_types=num_child_types, num_parent_types=num_parent_types, grid=grid)
        check_sizes(kernel_size=kernel_size, stride=stride, padding=padding, coordinate_entries=coordinate_entries)
        grid = None if grid is None else _pair("grid", grid)
        if kernel_size is not None and not isinstance(kernel_size, int):
            kernel_size = _pair("kernel_size", kernel_size)
        rows = count_rows(pose_shape, child_dim=child_dim, parent_dim=parent_dim)
        self.num_child_types, self.num_parent_types, self.grid = num_child_types, num_parent_types, grid
        self.child_dim, self.parent_dim, self.pose_shape, self.shared = child_dim, parent_dim, pose_shape, shared
        self.stride, self.padding = stride, padding
        self.kernel_size = _window(kernel_size, grid, padding)
        self.out_grid = None if grid is None else self._find_places(grid)
        members = None if grid is None else self._find_members(grid, device)
        self.register_buffer("members", members, persistent=False)
        num_children = self.kernel_size[0] * self.kernel_size[1] * num_child_types
        self.num_matrices = num_child_types if shared else num_children
        sizes = (self.num_matrices, child_dim // rows, num_parent_types, parent_dim // rows)
        self.weight = nn.Parameter(torch.empty(sizes, device=device, dtype=dtype))
        self.routing = make_routing(
            routing,
            num_children,
            num_parent_types,
            child_dim=child_dim,
            parent_dim=parent_dim,
            options=routing_options,
            device=device,
            dtype=dtype,
        )
        offsets = None if coordinates is None else self._offsets(coordinates, coordinate_entries).to(device, dtype)
        self.register_buffer("offsets", offsets, persistent=False)
        self.reset_parameters()

    def _padded(self, grid: Grid) -> Grid:
        return grid[0] + 2 * self.padding, grid[1] + 2 * self.padding

    def _find_places(self, grid: Grid) -> Grid:
        """Rows and columns of windows."""
        room = self._padded(grid)
        if any(side > most for side, most in zip(self.kernel_size, room, strict=True)):
            raise UserError(f"kernel_size must fit into the grid {room}, got {self.kernel_size}")
        rows, columns = ((most - side) // self.stride + 1 for side, most in zip(self.kernel_size, room, strict=True))
        return rows, columns

    def _find_members(self, grid: Grid, device: torch.device | str | None) -> Int[Tensor, "p i"]:
        """The children of each window."""
        return window_children(self._padded(grid), self.num_child_types, self.kernel_size, self.stride, device=device)

    def _offsets(self, coordinates: Float[Tensor, "h w 2"], entries: tuple[int, int]) -> Float[Tensor, "p i 1 d"]:
        if self.grid is None or self.members is None:
            raise UserError("coordinates need a grid: give grid=(rows, columns)")
        if coordinates.shape[:2] != self.grid:
            raise UserError(f"coordinates must be {self.grid} x 2, got {tuple(coordinates.shape)}")
        if any(not 0 <= entry < self.parent_dim for entry in entries):
            raise UserError(f"coordinate_entries must be below parent_dim, {self.parent_dim}, got {entries}")
        coordinates = coordinates.to(self.members.device)
        everywhere = coordinates.new_zeros(*self.grid, self.parent_dim)
        everywhere[..., list(entries)] = coordinates
        everywhere = nn.functional.pad(everywhere, (0, 0, *[self.padding] * 4))
        return everywhere.flatten(0, 1)[self.members // self.num_child_types][:, :, None]

    def reset_parameters(self) -> None:
        """Normal; at first the mean share of a window is as long as one child, times `initial_gain` of the routing.

        Each paper states a different initialisation.
        """
        std = self.num_parent_types / sqrt(prod(self.kernel_size) * self.num_child_types * self.weight.shape[3])
        nn.init.normal_(self.weight, std=self.routing.initial_gain() * std)

    def forward(self, children: Capsules | RoutingOutput) -> RoutingOutput:
        """Compute the parents of `children`."""
        with without_autocast(self.weight.device):
            grid = self.find_grid(children)
            windows, places = self.windows(grid), self._find_places(grid)
            output = self.routing.route_children(
                self.gather(children), self.matrices(), offsets=self.offsets, windows=windows
            )
            samples, parents = len(children.poses), places[0] * places[1] * self.num_parent_types
            return RoutingOutput(
                output.poses.reshape(samples, parents, self.parent_dim),
                output.activations.reshape(samples, parents),
                output.coupling if windows is None else None,
                places,
            )

    def find_grid(self, children: Capsules | RoutingOutput) -> Grid:
        """Rows and columns of the children.

        Raises:
            UserError: neither the layer nor the children have a grid, their grids differ, or the children's number or
                dimension is not the layer's.
        """
        check_capsules(children)
        if children.mask is not None:
            raise UserError("children on a grid cannot have a mask; give all of its capsules")
        grid = self.grid if children.grid is None else _pair("grid of the children", children.grid)
        if grid is None:
            raise UserError("children have no grid: give Capsules(poses, activations, grid=(rows, columns))")
        if self.grid is not None and grid != self.grid:
            raise UserError(f"children must have the grid {self.grid}, got {grid}")
        expected = (grid[0] * grid[1] * self.num_child_types, self.child_dim)
        if children.poses.shape[1:] != expected:
            raise UserError(f"children must be b x {expected}, got {tuple(children.poses.shape)}")
        return grid

    def windows(self, grid: Grid | None = None) -> Windows | None:
        """The layout of several windows over a grid of children; None for one window, in which nothing overlaps.

        Args:
            grid: rows and columns of the children; None: the layer's grid.

        Raises:
            UserError: no grid is given, and the layer has none.
        """
        grid = self.grid if grid is None else grid
        if grid is None:
            raise UserError("the layer was created without a grid: give grid=(rows, columns)")
        if self._find_places(grid) == (1, 1):
            return None
        members = self._find_members(grid, self.weight.device) if self.members is None else self.members
        rows, columns = self._padded(grid)
        return Windows(members, rows * columns * self.num_child_types)

    def gather(self, children: Capsules | RoutingOutput) -> Capsules:
        """Lay out children window by window: poses `(b p) i c`, activations `(b p) i`."""
        dtype = self.weight.dtype
        poses, activations = children.poses.to(dtype), children.activations.to(dtype)[..., None]
        layout = (self.find_grid(children), self.kernel_size, self.stride, self.padding)
        return Capsules(gather_windows(poses, *layout), gather_windows(activations, *layout)[..., 0])

    def matrices(self) -> Float[Tensor, "i c j d"]:
        """A transformation matrix for each child of a window."""
        return self.weight.repeat(self.kernel_size[0] * self.kernel_size[1], 1, 1, 1) if self.shared else self.weight

    def votes(self, inside: Capsules) -> Float[Tensor, "bp i j d"]:
        """The votes of children that are laid out window by window."""
        return dense_votes(inside.poses, self.matrices(), self.offsets)

    def extra_repr(self) -> str:
        return (
            f"{self.grid or 'grid'} x {self.num_child_types} x {self.child_dim}D -> "
            f"{self.out_grid or 'grid'} x {self.num_parent_types} x "
            f"{self.parent_dim}D, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"weight {tuple(self.weight.shape)}"
        )


def _pair(name: str, value: Sequence[int]) -> Grid:
    """Rows and columns, from a list too."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise UserError(f"{name} must be rows and columns, got {value}")
    return value[0], value[1]


def _window(kernel_size: Side | None, grid: Grid | None, padding: int) -> Grid:
    """Rows and columns of a window."""
    if kernel_size is not None:
        return (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    if grid is None:
        raise UserError("kernel_size must be given, got None: a window of the whole grid needs grid=(rows, columns)")
    return grid[0] + 2 * padding, grid[1] + 2 * padding

"""Capsule layers for segmentation: votes come from a window of each child type, parents lie on the whole grid.

LaLonde, Bagci, "Capsules for Object Segmentation", MIDL 2018, section 2; in three dimensions Nguyen, Hua, Le,
"3D-UCaps: 3D Capsules Unet for Volumetric Image Segmentation", MICCAI 2021.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import prod, sqrt
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.errors import UserError
from capsnet.functional import conv2d
from capsnet.functional.precision import without_autocast
from capsnet.layers.dense import check_sizes
from capsnet.routing import Routing, make_routing
from capsnet.routing.gaussian import maybe_checkpoint


class CapsuleMaps(NamedTuple):
    """Capsules on a grid of two or three dimensions, one map for each type.

    Shapes:
        poses `b j d *space`; activations `b j *space`.
    """

    poses: Float[Tensor, "b j d *space"]
    activations: Float[Tensor, "b j *space"]


class _LocalCapsules(nn.Module, ABC):
    """What the convolution and its transpose share: sizes, weights, and routing row by row."""

    def __init__(
        self,
        num_child_types: int,
        num_parent_types: int,
        *,
        child_dim: int = 16,
        parent_dim: int = 16,
        kernel_size: int = 5,
        stride: int = 1,
        padding: int = 0,
        dims: int = 2,
        shared: bool = True,
        routing: str | Routing = "dynamic",
        routing_options: Mapping[str, object] | None = None,
        max_votes: int | None = 2**22,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(num_child_types=num_child_types, num_parent_types=num_parent_types)
        check_sizes(child_dim=child_dim, parent_dim=parent_dim, kernel_size=kernel_size, stride=stride, padding=padding)
        if dims not in (2, 3):
            raise UserError(f"dims must be 2 or 3, got {dims!r}")
        if max_votes is not None and max_votes < 1:
            raise UserError(f"max_votes must be at least 1 or None, got {max_votes}")
        self.num_child_types, self.num_parent_types = num_child_types, num_parent_types
        self.child_dim, self.parent_dim, self.dims, self.shared = child_dim, parent_dim, dims, shared
        self.kernel_size, self.stride, self.padding, self.max_votes = kernel_size, stride, padding, max_votes
        self.weight = nn.Parameter(torch.empty(self._weight_shape(), device=device, dtype=dtype))
        self.routing = make_routing(
            routing,
            num_child_types,
            num_parent_types,
            child_dim=child_dim,
            parent_dim=parent_dim,
            options=routing_options,
            device=device,
            dtype=dtype,
        )
        if self.routing.child_dim is not None:
            raise UserError(
                f"{type(self.routing).__name__} reads the children's poses, which windows do not give; use another "
                "routing"
            )
        self.reset_parameters()

    @abstractmethod
    def _weight_shape(self) -> tuple[int, ...]: ...

    @abstractmethod
    def out_size(self, size: int) -> int:
        """Rows of the parents, from the rows of the children; the same for columns and depth."""

    @abstractmethod
    def _convolve(self, maps: Tensor, first: int, last: int, groups: int) -> Tensor:
        """The convolution's rows from `first` to before `last`."""

    def reset_parameters(self) -> None:
        """He's normal initialisation, as in the authors' code: the last two axes of its arrays count as in and out."""
        std = sqrt(2 / self.weight[0].numel()) / _CUT
        nn.init.trunc_normal_(self.weight, std=std, a=-2 * std, b=2 * std)

    def votes(self, poses: Float[Tensor, "b i c *space"], rows: slice | None = None) -> Float[Tensor, "b i j d p"]:
        """The vote of each child type for each parent type at each place, in the order of rows.

        Args:
            poses: of the children.
            rows: of the parents; None: all.
        """
        first, last, _ = (rows or slice(None)).indices(self.out_size(poses.shape[3]))
        # with shared matrices the types are samples, otherwise groups of channels
        maps = poses.flatten(0, 1) if self.shared else poses.flatten(1, 2)
        out = self._convolve(maps, first, last, 1 if self.shared else self.num_child_types)
        sizes = (len(poses), self.num_child_types, self.num_parent_types, self.parent_dim)
        return out.reshape(*sizes, prod(out.shape[2:]))

    def forward(self, poses: Float[Tensor, "b i c *space"]) -> CapsuleMaps:
        """Compute the parents of children on a grid."""
        expected = (self.num_child_types, self.child_dim)
        if poses.ndim != 3 + self.dims or poses.shape[1:3] != expected:
            axes = ", ".join(["rows", "columns", "depth"][: self.dims])
            raise UserError(f"poses must be b, {expected[0]}, {expected[1]}, {axes}; got {tuple(poses.shape)}")
        if min(self.out_size(size) for size in poses.shape[3:]) < 1:
            raise UserError(f"kernel_size {self.kernel_size} does not fit into the grid {tuple(poses.shape[3:])}")
        with without_autocast(self.weight.device):
            poses = poses.to(self.weight.dtype)
            rows = self.out_size(poses.shape[3])
            step = self._rows_at_once(poses)
            recompute = step < rows and torch.is_grad_enabled()
            parts = [
                maybe_checkpoint(self._route, poses, start, min(start + step, rows), recompute=recompute)
                for start in range(0, rows, step)
            ]
            if len(parts) == 1:
                return CapsuleMaps(*parts[0])
            return CapsuleMaps(
                torch.cat([part[0] for part in parts], dim=3), torch.cat([part[1] for part in parts], dim=2)
            )

    def _rows_at_once(self, poses: Tensor) -> int:
        rows, *others = (self.out_size(size) for size in poses.shape[3:])
        # an exported graph is one for any number of images; running statistics are those of a whole batch
        if self.max_votes is None or torch.compiler.is_exporting() or any(True for _ in self.routing.buffers()):
            return rows
        row = len(poses) * self.num_child_types * self.num_parent_types * self.parent_dim * prod(others)
        return min(rows, max(1, self.max_votes // max(1, row)))

    def _route(self, poses: Tensor, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Poses and activations of some rows of parents."""
        parents, active = self.routing.route_maps(self.votes(poses, slice(first, last)))
        space = (last - first, *(self.out_size(size) for size in poses.shape[4:]))
        return parents.unflatten(3, space), active.unflatten(2, space)

    def extra_repr(self) -> str:
        return (
            f"{self.num_child_types} x {self.child_dim}D -> {self.num_parent_types} x {self.parent_dim}D, "
            f"dims={self.dims}, kernel_size={self.kernel_size}, stride={self.stride}, weight {tuple(self.weight.shape)}"
        )


class LocalConvCapsules(_LocalCapsules):
    r"""At each place, the window of one child type gives one vote for each parent type; a routing computes the parents.

    Child type i has at place p the vote $\hat u_{j|i,p} = M_j U_{i,p}$, where $U_{i,p}$ are all numbers of its
    capsules in the window. Child types are routed to the parent types of the place; places do not compete. The
    children's activations are not used: the votes carry their lengths. With more votes than `max_votes`, rows of
    parents are computed in turn, and once more in the backward pass: the votes of the whole grid are never stored.

    Args:
        num_child_types: types of child capsule at each place.
        num_parent_types: types of parent capsule at each place.
        child_dim: numbers of a child's pose.
        parent_dim: numbers of a parent's pose.
        kernel_size: side of the window.
        stride: of the window.
        padding: zeros around the grid.
        dims: 2 for images, 3 for volumes.
        shared: the same matrices for all child types, as in the authors' code; only then the number of parameters
            is the published one. False: a matrix for each child type.
        routing: a name in `capsnet.routing.ROUTINGS`, or a `Routing` of the numbers of types.
        routing_options: arguments of a routing given by name.
        max_votes: numbers in the votes that are held at once, if a single row does not have more; None: all, kept for
            the backward pass. A routing with running statistics, and an exported graph, always receives all.

    Shapes:
        poses `b i c *space`, space `h w` or `h w z`; result: see `CapsuleMaps`.

    Raises:
        UserError: a size out of range, an unknown routing, or poses of another shape.

    Example:
        >>> layer = LocalConvCapsules(2, 4, child_dim=16, parent_dim=32, kernel_size=5, stride=2, padding=2)
        >>> layer(torch.randn(1, 2, 16, 12, 12)).poses.shape
        torch.Size([1, 4, 32, 6, 6])
    """

    def _weight_shape(self) -> tuple[int, ...]:
        outputs = self.num_parent_types * self.parent_dim * (1 if self.shared else self.num_child_types)
        return outputs, self.child_dim, *[self.kernel_size] * self.dims

    def out_size(self, size: int) -> int:
        """Rows of the parents, from the rows of the children; the same for columns and depth."""
        return (size + 2 * self.padding - self.kernel_size) // self.stride + 1

    def _convolve(self, maps: Tensor, first: int, last: int, groups: int) -> Tensor:
        start = first * self.stride - self.padding
        end = (last - 1) * self.stride - self.padding + self.kernel_size
        size = maps.shape[2]
        # a window may lie in the padding as a whole
        inside = maps[:, :, min(max(0, start), size) : min(max(0, end), size)]
        above = min(max(0, -start), end - start)
        edges = [0, 0] * (self.dims - 1) + [above, end - start - above - inside.shape[2]]
        padded = nn.functional.pad(inside, edges)
        if self.dims == 2:
            return conv2d(padded, self.weight, None, self.stride, (0, self.padding), groups)
        padding = (0, self.padding, self.padding)
        return nn.functional.conv3d(padded, self.weight, None, self.stride, padding, 1, groups)


class LocalTransposedConvCapsules(_LocalCapsules):
    """`LocalConvCapsules` with a transposed convolution: parents lie on a grid that is `stride` times as fine.

    Arguments, memory and errors are those of `LocalConvCapsules`; `kernel_size=4, stride=2, padding=1` doubles a grid.

    Shapes:
        poses `b i c *space`; result: see `CapsuleMaps`, with (size - 1) * stride - 2 * padding + kernel_size rows.

    Example:
        >>> layer = LocalTransposedConvCapsules(8, 4, child_dim=32, parent_dim=16, kernel_size=4, stride=2, padding=1)
        >>> layer(torch.randn(1, 8, 32, 6, 6)).poses.shape
        torch.Size([1, 4, 16, 12, 12])
    """

    def _weight_shape(self) -> tuple[int, ...]:
        inputs = self.child_dim * (1 if self.shared else self.num_child_types)
        return inputs, self.num_parent_types * self.parent_dim, *[self.kernel_size] * self.dims

    def out_size(self, size: int) -> int:
        """Rows of the parents, from the rows of the children; the same for columns and depth."""
        return (size - 1) * self.stride - 2 * self.padding + self.kernel_size

    def _convolve(self, maps: Tensor, first: int, last: int, groups: int) -> Tensor:
        start = max(0, -((self.kernel_size - 1 - self.padding - first) // self.stride))
        # with a window smaller than the stride no child may reach the first row: begin with the one above it
        start = min(start, (first + self.padding) // self.stride)
        end = min(maps.shape[2], (last - 1 + self.padding) // self.stride + 1)
        convolve = nn.functional.conv_transpose2d if self.dims == 2 else nn.functional.conv_transpose3d
        padding = (0, *[self.padding] * (self.dims - 1))
        out = convolve(maps[:, :, start:end], self.weight, None, self.stride, padding, 0, groups)
        above = first - (start * self.stride - self.padding)
        out = out[:, :, above : above + last - first]
        below = last - first - out.shape[2]
        return nn.functional.pad(out, [0, 0] * (self.dims - 1) + [0, below]) if below else out


# standard deviation of a standard normal cut at two
_CUT = 0.87962566103423978

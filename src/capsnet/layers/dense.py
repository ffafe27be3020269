"""A capsule layer in which every child votes for every parent.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Eq. 2 and Procedure 1.
"""

from collections.abc import Mapping
from functools import partial
from math import sqrt

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from capsnet.bounds import check_numbers
from capsnet.capsules import Capsules, RoutingOutput, check_capsules
from capsnet.errors import UserError
from capsnet.functional import dense_votes
from capsnet.functional.precision import without_autocast
from capsnet.layers.bounds import BOUNDS
from capsnet.renamed import renamed
from capsnet.routing import Routing, make_routing


def shape_from_rows(pose_rows: int, options: Mapping[str, object], child_dim: int) -> tuple[int, int] | None:
    """`pose_shape` from the older `pose_rows`, in which 1 meant vectors."""
    width = options.get("child_dim", child_dim)
    return None if pose_rows == 1 or not isinstance(width, int) else (pose_rows, width // pose_rows)


@renamed({"pose_rows": partial(shape_from_rows, child_dim=8)}, pose_rows="pose_shape")
class DenseCapsules(nn.Module):
    """Holds a transformation matrix for each pair of child and parent; a routing turns the votes into parents.

    Votes and routing are computed in the type of `weight`, under autocast too: agreement is a sum over many children.

    Args:
        num_children: number of child capsules `i`; None with `shared`: any number, which may differ between calls.
            Where it differs between the samples of a batch, `Capsules.mask` marks the padding.
        num_parents: number of parent capsules `j`.
        child_dim: dimension `c` of a child's pose.
        parent_dim: dimension `d` of a parent's pose.
        pose_shape: rows and columns of a child's pose, such as (4, 4): votes are then products of matrices, and a
            parent's pose has as many rows. None: poses are vectors.
        shared: one matrix for all children (Gu, Tresp, "Improving the Robustness of Capsule Networks to Image Affine
            Transformations", CVPR 2020).
        num_child_types: with `shared`, one matrix for each of these types of child instead; children are in the order
            position, type, as primary capsules are.
        routing: a name in `capsnet.routing.ROUTINGS`, or a `Routing` of the same sizes.
        routing_options: arguments of a routing given by name, for example `{"iterations": 2}`.

    Shapes:
        children `b i c` and `b i`; poses `b j d`, activations `b j`, coupling `b i j`.

    Raises:
        UserError: a size below 1, poses that do not have the shape, an unknown routing, or children with
            a different number or dimension.

    Example:
        >>> layer = DenseCapsules(1152, 10, child_dim=8, parent_dim=16, routing="dynamic")
        >>> layer(Capsules(torch.randn(2, 1152, 8), torch.ones(2, 1152))).poses.shape
        torch.Size([2, 10, 16])
    """

    def __init__(
        self,
        num_children: int | None,
        num_parents: int,
        *,
        child_dim: int = 8,
        parent_dim: int = 16,
        pose_shape: tuple[int, int] | None = None,
        shared: bool = False,
        num_child_types: int = 1,
        routing: str | Routing = "dynamic",
        routing_options: Mapping[str, object] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(num_children=num_children, num_parents=num_parents)
        if num_children is None and not shared:
            raise UserError("num_children must be a number, got None; for any number of children give shared=True")
        check_sizes(num_child_types=num_child_types)
        if num_child_types > 1 and not shared:
            raise UserError(f"num_child_types is for shared=True only, got {num_child_types}")
        rows = count_rows(pose_shape, child_dim=child_dim, parent_dim=parent_dim)
        self.num_children, self.num_parents = num_children, num_parents
        self.child_dim, self.parent_dim, self.pose_shape, self.shared = child_dim, parent_dim, pose_shape, shared
        self.num_child_types = num_child_types
        if num_children is not None:
            self._check_types(num_children)
        matrices = num_child_types if shared or num_children is None else num_children
        sizes = (matrices, child_dim // rows, num_parents, parent_dim // rows)
        self.weight = nn.Parameter(torch.empty(sizes, device=device, dtype=dtype))
        self.routing = make_routing(
            routing,
            num_children,
            num_parents,
            child_dim=child_dim,
            parent_dim=parent_dim,
            options=routing_options,
            device=device,
            dtype=dtype,
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal: uniformly coupled parents start as long as one child, times `initial_gain` of the routing.

        With any number of children, each vote starts as long as its child. The paper states no initialisation.
        """
        columns = self.weight.shape[3]
        std = 1 / sqrt(columns)
        if self.num_children is not None:
            std = self.routing.initial_gain() * self.num_parents / sqrt(self.num_children * columns)
        nn.init.normal_(self.weight, std=std)

    def forward(
        self, children: Capsules | RoutingOutput, *, parent_mask: Bool[Tensor, "b j"] | None = None
    ) -> RoutingOutput:
        """Compute the parents of `children`.

        Args:
            children: child capsules.
            parent_mask: True for the parents that a sample has, if it does not have all: the result is that of a layer
                of these parents alone. The others are zero, and `mask` of the result marks them for the next layer.
                The fused kernels do not support it. None: all parents.

        Shapes:
            parent_mask `b j`.

        Raises:
            UserError: children of another number or dimension, a mask of another shape or type, or a routing that does
                not support it.
        """
        with without_autocast(self.weight.device):
            inside = self.gather(children)
            weight = self.matrices(inside.poses.shape[1])
            if parent_mask is not None:
                return self.routing.route_children_to(inside, weight, parent_mask)
            return self.routing.route_children(inside, weight)

    def gather(self, children: Capsules | RoutingOutput) -> Capsules:
        """Check `children` and convert them to the dtype of `weight`."""
        check_capsules(children)
        number = children.poses.shape[1] if self.num_children is None else self.num_children
        expected = (number, self.child_dim)
        if children.poses.shape[1:] != expected:
            raise UserError(f"children must be b x {expected}, got {tuple(children.poses.shape)}")
        dtype = self.weight.dtype
        return Capsules(children.poses.to(dtype), children.activations.to(dtype), children.grid, children.mask)

    def matrices(self, number: int | None = None) -> Float[Tensor, "i c j d"]:
        """A transformation matrix for each child.

        Args:
            number: of children; None: the layer's.

        Raises:
            UserError: no number is given, and the layer takes any; or a number that is no multiple of the types.
        """
        number = self.num_children if number is None else number
        if number is None:
            raise UserError("the layer takes any number of children: give their number")
        if not self.shared or self.num_child_types == 1:
            return self.weight.expand(number, -1, -1, -1)
        self._check_types(number)
        return self.weight.repeat(number // self.num_child_types, 1, 1, 1)

    def _check_types(self, number: int) -> None:
        if number % self.num_child_types:
            raise UserError(f"children must be a multiple of the {self.num_child_types} types, got {number}")

    def votes(self, inside: Capsules) -> Float[Tensor, "b i j d"]:
        """The votes of children as returned by `gather`."""
        return dense_votes(inside.poses, self.matrices(inside.poses.shape[1]))

    def extra_repr(self) -> str:
        return (
            f"{self.num_children or 'any'} x {self.child_dim}D -> {self.num_parents} x {self.parent_dim}D, "
            f"weight {tuple(self.weight.shape)}"
        )


def check_sizes(**sizes: object) -> None:
    """Check numeric arguments of a layer; None is skipped."""
    check_numbers(BOUNDS, **sizes)


def check_odd(kernel_size: int) -> None:
    """Check the side of a window that is padded by half of it at each side: an even one would shift the maps.

    Raises:
        UserError: it is even.
    """
    if kernel_size % 2 == 0:
        raise UserError(f"kernel_size must be odd, got {kernel_size}: the maps are padded equally at all sides")


def count_rows(pose_shape: tuple[int, int] | None, *, child_dim: int, parent_dim: int) -> int:
    """Number of rows of a pose; 1 for a vector.

    Raises:
        UserError: poses that do not have the shape.
    """
    check_sizes(pose_shape=pose_shape, child_dim=child_dim, parent_dim=parent_dim)
    if pose_shape is None:
        return 1
    if not isinstance(pose_shape, tuple) or len(pose_shape) != 2:
        raise UserError(f"pose_shape must be rows and columns, got {pose_shape!r}")
    rows, columns = pose_shape
    if child_dim != rows * columns:
        raise UserError(f"child_dim must be {rows * columns} for pose_shape {pose_shape}, got {child_dim}")
    if parent_dim % rows:
        raise UserError(f"parent_dim must be a multiple of the {rows} rows of pose_shape, got {parent_dim}")
    return rows

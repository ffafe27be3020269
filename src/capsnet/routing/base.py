"""The base class of routings: a module that turns votes into parents."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from capsnet.bounds import Bound, check_kind, check_numbers, whole
from capsnet.capsules import Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.functional import Windows, dense_votes
from capsnet.registry import Registry, suggest
from capsnet.routing.parents import check_parent_mask


class Routing(nn.Module, ABC):
    """Base class of all routings. Subclasses implement `forward` and own the algorithm's learnable parameters.

    Args:
        num_children: number of children `i`; in a convolutional layer, of one window. None: any number, for routings
            without parameters of single children.
        num_parents: number of parents `j`; in a convolutional layer, at one position.
        parent_dim: dimension `d` of a parent's pose.

    Attributes:
        coupling_axis: the axis over which the coupling sums to one, `"j"` (parents); None: it is not normalised.
        activates: False if the algorithm computes no activations: all are 1, and a model uses the poses instead.
        masks: whether a child with a vote, an activation and a pose of zero has no influence on the parents; False:
            children with padding are refused.
        limits_parents: whether `forward` takes `parent_mask`, the parents that each sample has; False: it is refused.
        child_dim: dimension `c` of a child's pose, of which the routing learns; None: any.
        iterations: number of iterations; None: the algorithm has none.
        activation_word: what the parents' activations are: the `"length"` of a pose, a `"share"` of all parents, which
            sum to one, or a logistic `"activation"`.
    """

    coupling_axis: ClassVar[str | None] = "j"
    activates: bool = True
    masks: ClassVar[bool] = True
    limits_parents: ClassVar[bool] = False
    child_dim: int | None = None
    iterations: int | None = None
    activation_word: ClassVar[str] = "length"

    def __init__(self, num_children: int | None, num_parents: int, *, parent_dim: int) -> None:
        super().__init__()
        self.num_children, self.num_parents, self.parent_dim = num_children, num_parents, parent_dim

    @abstractmethod
    def forward(
        self,
        votes: Float[Tensor, "b i j d"],
        activations: Float[Tensor, "b i"] | None = None,
        *,
        poses: Float[Tensor, "b i c"] | None = None,
        windows: Windows | None = None,
    ) -> RoutingOutput:
        """Compute parents from the children's votes; which other inputs are used depends on the routing.

        Args:
            votes: each child's predicted pose for each parent.
            activations: activations of the children; None: all are 1.
            poses: poses of the children.
            windows: windows of a convolutional layer, whose parents may compete; None: one window.

        Shapes:
            votes `b i j d`, activations `b i`, poses `b i c`; result: see `RoutingOutput`.
        """

    def initial_gain(self) -> float:
        """Factor on a layer's initial transformation matrices, which by default give a parent a child's mean length.

        For routings with a different sum, or whose coupling would start too sharp to train.
        """
        return 1.0

    def route_children(
        self,
        children: Capsules,
        weight: Float[Tensor, "i c j d"],
        *,
        offsets: Float[Tensor, "p i 1 rd"] | None = None,
        windows: Windows | None = None,
    ) -> RoutingOutput:
        """Make the votes of `children`, then call `forward`. A fused kernel may replace both.

        Padding (`children.mask`) has no influence on the parents, and no coupling; its gradients are zero. If all
        children of a sample are padding, its parents have poses and activations of zero. A subclass that overrides
        this method passes children with a mask on to this one.

        Args:
            children: child capsules; in a convolutional layer, gathered by window.
            weight: transformation matrices.
            offsets: added to the votes at each position (coordinate addition).
            windows: windows of a convolutional layer.

        Shapes:
            children `b i c` and `b i`, weight `i c j d`; result: see `RoutingOutput`.

        Raises:
            UserError: children with a mask, on a grid or for a routing that does not support masks.
        """
        if children.mask is not None:
            if not self.masks or offsets is not None or windows is not None:
                where = "on a grid" if self.masks else f"of {type(self).__name__}"
                raise UserError(f"children {where} cannot have a mask; give each sample all of its children")
            return clear_padding(self.route_children(drop_padding(children), weight), children.mask)
        votes = dense_votes(children.poses, weight, offsets)
        output: RoutingOutput = self(votes, children.activations, poses=children.poses, windows=windows)
        return output

    def route_children_to(
        self, children: Capsules, weight: Float[Tensor, "i c j d"], parent_mask: Bool[Tensor, "b j"]
    ) -> RoutingOutput:
        """Route `children` to the parents that their sample has, as a layer of these parents alone would do.

        Missing parents have pose, activation and coupling of zero, without gradients, and are padding to the next
        layer. A sample without any parent is zero everywhere, and one without children has no parents. The plain
        algorithm runs; no kernel takes part.

        Args:
            children: child capsules, perhaps with padding.
            weight: transformation matrices.
            parent_mask: True for the parents that a sample has.

        Shapes:
            children `b i c` and `b i`, weight `i c j d`, parent_mask `b j`; result: see `RoutingOutput`, with a mask.

        Raises:
            UserError: a mask of another shape or type, or a routing that does not support masks of parents or of
                children.
        """
        if not self.limits_parents:
            raise UserError(f"{type(self).__name__} cannot limit a sample's parents; give no parent_mask")
        check_parent_mask(parent_mask, len(children.poses), weight.shape[2])
        there = children.mask
        if there is not None and not self.masks:
            raise UserError(
                f"children of {type(self).__name__} cannot have a mask; give each sample all of its children"
            )
        inside = drop_padding(children)
        if there is not None:
            parent_mask = parent_mask & there.any(dim=1, keepdim=True)
        votes = dense_votes(inside.poses, weight)
        output: RoutingOutput = self(votes, inside.activations, poses=inside.poses, parent_mask=parent_mask)
        return output if there is None else clear_padding(output, there)

    def route_maps(self, votes: Float[Tensor, "b i j d p"]) -> tuple[Float[Tensor, "b j d p"], Float[Tensor, "b j p"]]:
        """Route the children of each place of maps by themselves: `forward` with places as samples.

        A fused kernel may replace it.

        Args:
            votes: of each child for each parent, at each place.

        Returns:
            Poses and activations of the parents at each place.

        Shapes:
            votes `b i j d p`; poses `b j d p`, activations `b j p`.
        """
        output: RoutingOutput = self(votes.permute(0, 4, 1, 2, 3).flatten(0, 1))
        places = (len(votes), votes.shape[4])
        poses, activations = (values.unflatten(0, places) for values in (output.poses, output.activations))
        return poses.permute(0, 2, 3, 1), activations.permute(0, 2, 1)


def drop_padding(children: Capsules) -> Capsules:
    """Set poses and activations of padding to zero, and remove the mask.

    Raises:
        UserError: a mask of another shape or type.
    """
    poses, activations, grid, mask = children
    if mask is None:
        return children
    check_mask(mask, activations.shape, "activations")
    return Capsules(poses.masked_fill(~mask[..., None], 0), activations.masked_fill(~mask, 0), grid)


def check_mask(mask: Tensor, shape: torch.Size, like: str) -> None:
    """Check a mask of padding.

    Args:
        mask: False for padding.
        shape: the expected one.
        like: what has this shape, for the message.

    Raises:
        UserError: another shape or type.
    """
    if mask.shape != shape:
        raise UserError(f"mask must be {tuple(shape)}, as the {like}, got {tuple(mask.shape)}")
    if mask.dtype != torch.bool:
        raise UserError(f"mask must be torch.bool, got {mask.dtype}; use mask.bool()")


def clear_padding(parents: RoutingOutput, mask: Bool[Tensor, "b i"]) -> RoutingOutput:
    """Set the coupling of padding to zero, and all parents of samples whose children are all padding.

    These samples have no parents, if the parents have a mask.

    Args:
        parents: parents of the result of `drop_padding`.
        mask: mask of the children.
    """
    empty = ~mask.any(dim=1)[:, None]  # b 1
    coupling = parents.coupling
    return parents._replace(
        poses=parents.poses.masked_fill(empty[..., None], 0),
        activations=parents.activations.masked_fill(empty, 0),
        coupling=None if coupling is None else coupling.masked_fill(~mask[..., None], 0),
        mask=None if parents.mask is None else parents.mask & ~empty,
    )


def find_fused(name: str, *arguments: object, **options: object) -> Callable[..., Any] | None:
    """The fused kernel of a plain function for this call, or None; the package works without `kernels/`."""
    try:
        from capsnet.kernels import fused
    except ModuleNotFoundError:
        return None
    return fused(name, *arguments, **options)


ROUTINGS: Registry[Callable[..., Routing]] = Registry("routing", "capsnet.routings", underscores=True)


def make_routing(
    routing: str | Routing,
    num_children: int | None,
    num_parents: int,
    *,
    child_dim: int,
    parent_dim: int,
    options: Mapping[str, object] | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Routing:
    """Create a layer's routing by name, or check that a `Routing` object fits the layer.

    Raises:
        UserError: an unknown name or option, a number out of bounds, an object of the wrong sizes, or an object
            together with options.
    """
    if isinstance(routing, Routing):
        if options:
            raise UserError(
                f"routing_options are for a routing given by name, got {', '.join(options)} together with "
                f"{type(routing).__name__}(); give them to its constructor"
            )
        expected = (num_children, num_parents, parent_dim)
        got = (routing.num_children, routing.num_parents, routing.parent_dim)
        if got != expected:
            raise UserError(f"routing must have (num_children, num_parents, parent_dim) {expected}, got {got}")
        if routing.child_dim is not None and routing.child_dim != child_dim:
            raise UserError(f"routing must have child_dim {child_dim}, got {routing.child_dim}")
        return routing
    build = ROUTINGS.get(routing)
    check_options(routing, options or {})
    extra = {"child_dim": child_dim} if "child_dim" in inspect.signature(build).parameters else {}
    return build(
        num_children, num_parents, parent_dim=parent_dim, device=device, dtype=dtype, **extra, **(options or {})
    )


def check_options(name: str, options: Mapping[str, object]) -> None:
    """Check the options of the routing with this name.

    Raises:
        UserError: an unknown option, a number out of bounds, an unknown word, or a value of another kind.
    """
    known = list_options(name)
    parameters = inspect.signature(ROUTINGS.get(name)).parameters
    for option, value in options.items():
        if known is not None and option not in known:
            raise UserError(f"routing {name!r} has no option {option!r}{suggest(option, known)}")
        if option in BOUNDS:
            check_numbers(BOUNDS, **{option: value})
        if option in parameters:
            check_kind(option, value, parameters[option].annotation)


def list_options(name: str) -> tuple[str, ...] | None:
    """The options of a routing: its constructor's arguments except the sizes; None: it accepts any."""
    parameters = inspect.signature(ROUTINGS.get(name)).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return tuple(parameter.name for parameter in parameters if parameter.name not in _NO_OPTIONS)


def takes_iterations(name: str) -> bool:
    """Whether the routing with this name has the option `iterations`."""
    return "iterations" in inspect.signature(ROUTINGS.get(name)).parameters


def own_iterations(name: str) -> int | None:
    """Default number of iterations of the routing with this name; None if it has none."""
    parameter = inspect.signature(ROUTINGS.get(name)).parameters.get("iterations")
    return parameter.default if parameter is not None and isinstance(parameter.default, int) else None


_NO_OPTIONS = frozenset(("num_children", "num_parents", "child_dim", "parent_dim", "device", "dtype"))

BOUNDS: Mapping[str, Bound] = {
    "iterations": whole(1, 1000),
    "inverse_temperature": Bound(0, 1e6),
    "variance": Bound(0, 1e6, above=True),
    "beta_use": Bound(-1e6, 1e6),
    "beta_activate": Bound(-1e6, 1e6),
}
"""Bounds of the routings' numeric options."""

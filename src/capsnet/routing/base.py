"""What every routing is: a module that turns votes into parents."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.bounds import Bound, check_numbers, whole
from capsnet.capsules import Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.functional import Windows, dense_votes
from capsnet.registry import Registry, suggest


class Routing(nn.Module, ABC):
    """Base of all routings: subclasses give `forward`, and hold the parameters that the algorithm itself learns.

    Args:
        num_children: number of children `i`; in a convolutional layer those of one window.
        num_parents: number of parents `j`; in a convolutional layer those of one place.
        parent_dim: dimension `d` of a parent's pose.

    Attributes:
        coupling_axis: the axis over which the coupling sums to one, `"j"` (parents), or None where it is no
            distribution.
        activates: False where the algorithm gives parents no activation: all are 1, and a model reads the poses.
    """

    coupling_axis: ClassVar[str | None] = "j"
    activates: ClassVar[bool] = True

    def __init__(self, num_children: int, num_parents: int, *, parent_dim: int) -> None:
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
        """Turn the children's votes into parents; each routing uses what its paper uses of the children.

        Args:
            votes: what each child thinks each parent looks like.
            activations: of the children; None: all are 1.
            poses: of the children.
            windows: of a convolutional layer, whose parents may compete for a child; None: there is one window.
        """

    def initial_gain(self) -> float:
        """Factor on a layer's first transformations, which otherwise make a parent's mean share as long as a child.

        For routings whose sum is another one, or that start too sharp with votes so long to learn.
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
        """Make the votes of `children`, then call `forward`; a kernel that never stores the votes may take its place.

        Args:
            children: in a convolutional layer laid out window by window.
            weight: transformation matrices.
            offsets: added to the votes of each place (coordinate addition).
            windows: of a convolutional layer.
        """
        votes = dense_votes(children.poses, weight, offsets)
        output: RoutingOutput = self(votes, children.activations, poses=children.poses, windows=windows)
        return output


def find_fused(name: str, *arguments: object, **options: object) -> Callable[..., Any] | None:
    """The kernel of a plain function for this call, or None; `kernels/` may be deleted whole."""
    try:
        from capsnet.kernels import fused
    except ModuleNotFoundError:
        return None
    return fused(name, *arguments, **options)


ROUTINGS: Registry[Callable[..., Routing]] = Registry("routing", "capsnet.routings", underscores=True)


def make_routing(
    routing: str | Routing,
    num_children: int,
    num_parents: int,
    *,
    child_dim: int,
    parent_dim: int,
    options: Mapping[str, object] | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Routing:
    """Create the routing of a layer by its name, or check that one given as an object fits.

    Raises:
        UserError: an unknown name, an option that the routing does not have or a number out of bounds, or an object
            of other sizes or beside options.
    """
    if isinstance(routing, Routing):
        if options:
            raise UserError(
                f"routing_options are for a routing given by name, got {', '.join(options)} beside "
                f"{type(routing).__name__}(); give them to its constructor"
            )
        expected = (num_children, num_parents, parent_dim)
        got = (routing.num_children, routing.num_parents, routing.parent_dim)
        if got != expected:
            raise UserError(f"routing must have (num_children, num_parents, parent_dim) {expected}, got {got}")
        return routing
    build = ROUTINGS.get(routing)
    check_options(routing, options or {})
    more = {"child_dim": child_dim} if "child_dim" in inspect.signature(build).parameters else {}
    return build(
        num_children, num_parents, parent_dim=parent_dim, device=device, dtype=dtype, **more, **(options or {})
    )


def check_options(name: str, options: Mapping[str, object]) -> None:
    """Refuse an option that the routing of this name does not have, or a number out of bounds.

    Raises:
        UserError: one of these.
    """
    known = list_options(name)
    for option, value in options.items():
        if known is not None and option not in known:
            raise UserError(f"routing {name!r} has no option {option!r}{suggest(option, known)}")
        if option in BOUNDS:
            check_numbers(BOUNDS, **{option: value})


def list_options(name: str) -> tuple[str, ...] | None:
    """The options of a routing, which are its constructor's arguments without the sizes; None: it takes any."""
    parameters = inspect.signature(ROUTINGS.get(name)).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return tuple(parameter.name for parameter in parameters if parameter.name not in _NO_OPTIONS)


def takes_iterations(name: str) -> bool:
    """Whether the routing of this name does iterations, and so has them as an option."""
    return "iterations" in inspect.signature(ROUTINGS.get(name)).parameters


def own_iterations(name: str) -> int | None:
    """How many iterations the routing of this name does if it is not told; None where it does none."""
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
"""Numbers among the options of the routings of this package."""

"""The arguments that models share: bounds of their numbers, and one routing from all that speak of it."""

from collections.abc import Mapping

from capsnet.bounds import Bound, check_numbers, whole
from capsnet.errors import UserError
from capsnet.routing import Routing, check_options, list_options

_WIDTH = whole(1, 65_536)

BOUNDS: Mapping[str, Bound] = {
    # too few pixels are refused by the layers, which know how many they need
    "image_shape": whole(0, 4096),
    "num_classes": whole(1, 2**20),
    "stem_channels": _WIDTH,
    "num_types": _WIDTH,
    "child_dim": _WIDTH,
    "primary_kernel": whole(1, 4096),
    "primary_stride": whole(1, 4096),
    "primary_scale": Bound(-1e6, 1e6),
    "parent_dim": whole(0, 65_536),
    "kernel_size": whole(1, 4096),
    "kernel_sizes": whole(1, 4096),
    "strides": whole(1, 4096),
    "decoder_hidden": whole(1, 2**24),
    "iterations": whole(1, 1000),
    "sizes": _WIDTH,
    "stages": _WIDTH,
    "pose_shape": whole(2, 256),
    "pose_dims": _WIDTH,
    "depth": whole(1, 100),
    "channels": _WIDTH,
    "hidden": whole(1, 2**24),
    "dropout": Bound(0, 1, below=True),
}
"""A row for every number that a model takes; of several numbers, the row is for each."""

ROUTING_ARGUMENTS: Mapping[str, str] = {
    "iterations": "iterations",
    "routing_bias": "bias",
    "leaky": "leaky",
    "gradient": "gradient",
    "em_form": "form",
}
"""Arguments of models that are options of a routing: the option's name."""

# what a routing without this option does anyway
_ABSENT: Mapping[str, object] = {"bias": False, "leaky": False, "gradient": "full"}


def check_arguments(**values: object) -> None:
    """Refuse a number that an argument of a model cannot be.

    Raises:
        UserError: it is out of bounds; the message says which and why.
    """
    for name, value in values.items():
        # stages of a trunk are tuples in a tuple
        several = value if isinstance(value, list | tuple) else (value,)
        for number in several:
            check_numbers(BOUNDS, **{name: number})


def check_pose_shape(pose_shape: int | tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of a pose matrix, from both or from the side of a square one.

    Raises:
        UserError: something else.
    """
    check_arguments(pose_shape=pose_shape)
    if isinstance(pose_shape, int):
        return pose_shape, pose_shape
    if len(pose_shape) != 2:
        raise UserError(f"pose_shape must be rows and columns, or the side of a square matrix, got {pose_shape}")
    rows, columns = pose_shape
    return rows, columns


def check_activates(routing: Routing, name: str) -> None:
    """Refuse a routing that gives class capsules no activation.

    Raises:
        UserError: it gives none.
    """
    if not routing.activates:
        raise UserError(
            f"routing {name!r} gives capsules no activation, so that no length tells a class; use another routing, or "
            "a model made for this one"
        )


def resolve_routing(
    routing: str, options: Mapping[str, object] | None = None, **arguments: object
) -> dict[str, object]:
    """The options of a routing, from everything that a model was given about it.

    Args:
        routing: its name.
        options: those given as `routing_options`.
        arguments: those given as arguments of the model, by the names in `ROUTING_ARGUMENTS`; None: not given.

    Raises:
        UserError: an unknown routing, an option that it does not have, or one given twice with two values.

    Example:
        >>> resolve_routing("dynamic", {"bias": True}, iterations=5, leaky=None)
        {'bias': True, 'iterations': 5}
    """
    known = list_options(routing)
    resolved = dict(options or {})
    check_options(routing, resolved)
    for argument, value in arguments.items():
        option = ROUTING_ARGUMENTS[argument]
        if value is None:
            continue
        if known is not None and option not in known:
            if option in _ABSENT and value == _ABSENT[option]:
                continue
            raise UserError(
                f"{argument} must be left out, got {value!r}: routing {routing!r} has no option {option!r}; its "
                f"options: {', '.join(known) or 'none'}"
            )
        if option in resolved and resolved[option] != value:
            raise UserError(
                f"{argument}={value!r} and routing_options[{option!r}]={resolved[option]!r} contradict each other; "
                "give one of them"
            )
        resolved[option] = value
    check_options(routing, resolved)
    return resolved

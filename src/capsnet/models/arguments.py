"""Arguments shared by models: bounds of numbers, and resolution of routing options."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from capsnet.bounds import Bound, check_numbers, whole
from capsnet.errors import UserError
from capsnet.functional.precision import in_autocast
from capsnet.routing import Routing, check_options, list_options

_WIDTH = whole(1, 65_536)

BOUNDS: Mapping[str, Bound] = {
    # the layers check the minimum size
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
    "same_size_iterations": whole(1, 1000),
    "sizes": _WIDTH,
    "stages": _WIDTH,
    "pose_shape": whole(2, 256),
    "pose_dim": _WIDTH,
    "pose_dims": _WIDTH,
    "depth": whole(1, 100),
    "levels": whole(1, 13),
    "in_channels": _WIDTH,
    "channels": _WIDTH,
    "hidden": whole(1, 2**24),
    "dropout": Bound(0, 1, below=True),
}
"""Bounds of models' numeric arguments; for a sequence, of each element."""

ROUTING_ARGUMENTS: Mapping[str, str] = {
    "iterations": "iterations",
    "routing_bias": "bias",
    "leaky": "leaky",
    "gradient": "gradient",
    "em_form": "form",
}
"""Arguments of models that are options of a routing: the option's name."""

# the behaviour of a routing without this option
_ABSENT: Mapping[str, object] = {"bias": False, "leaky": False, "gradient": "full"}


def check_arguments(**values: object) -> None:
    """Check numeric arguments of a model.

    Raises:
        UserError: a number is out of bounds.
    """
    for name, value in values.items():
        # stages of a trunk are tuples in a tuple
        several = value if isinstance(value, list | tuple) else (value,)
        for number in several:
            check_numbers(BOUNDS, **{name: number})


def check_stages(stages: Sequence[tuple[int, int, int]]) -> tuple[tuple[int, int, int], ...]:
    """Check the stages of a trunk: channels, blocks and first stride of each.

    Raises:
        UserError: none, one that is not three numbers, or a number out of bounds.
    """
    stages = tuple(stages)
    if not stages or any(not isinstance(stage, list | tuple) or len(stage) != 3 for stage in stages):
        raise UserError(f"stages must be one or more of (channels, blocks, first stride), got {stages}")
    check_arguments(stages=stages)
    return stages


def check_images_fit(images: Tensor, model: nn.Module) -> None:
    """Check that images have the dtype of a model's weights, which autocast changes, and lie on their device.

    Raises:
        UserError: another dtype or device.
    """
    weight = next(model.parameters(), None)
    if weight is None:
        return
    if images.dtype != weight.dtype and not in_autocast(images.device):
        raise UserError(
            f"images must be {weight.dtype} like the model's weights, got {images.dtype}; convert them with "
            f"images.to({weight.dtype})"
        )
    # weights without memory, on meta, may be loaded in the call
    if images.device != weight.device and not weight.is_meta:
        raise UserError(
            f"images must be on {weight.device} like the model's weights, got {images.device}; move them with "
            f"images.to({str(weight.device)!r})"
        )


def check_pose_shape(pose_shape: int | tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of a pose matrix, from both or from the side of a square one.

    Raises:
        UserError: any other value.
    """
    check_arguments(pose_shape=pose_shape)
    if isinstance(pose_shape, int):
        return pose_shape, pose_shape
    if len(pose_shape) != 2:
        raise UserError(f"pose_shape must be rows and columns, or the side of a square matrix, got {pose_shape}")
    rows, columns = pose_shape
    return rows, columns


def check_activates(routing: Routing, name: str) -> None:
    """Check that a routing computes activations.

    Raises:
        UserError: it does not.
    """
    if not routing.activates:
        raise UserError(
            f"routing {name!r} computes no activations, so capsule lengths cannot predict a class; use another "
            "routing, or a model made for this one"
        )


def resolve_routing(
    routing: str, options: Mapping[str, object] | None = None, **arguments: object
) -> dict[str, object]:
    """Merge a routing's options from a model's arguments.

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

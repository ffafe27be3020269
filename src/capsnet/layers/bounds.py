"""Bounds of layers' numeric arguments."""

from collections.abc import Mapping

from capsnet.bounds import Bound, whole

_WIDTH = whole(1, 65_536)
_SIDE = whole(1, 4096)
_PADDING = whole(0, 4096)

BOUNDS: Mapping[str, Bound] = {
    "num_children": whole(1, 2**31 - 1),
    "num_parents": whole(1, 2**20),
    "num_inputs": whole(1, 2**31 - 1),
    "num_outputs": whole(1, 2**20),
    "num_classes": whole(1, 2**20),
    "num_types": _WIDTH,
    "num_child_types": _WIDTH,
    "num_parent_types": _WIDTH,
    "child_dim": _WIDTH,
    "parent_dim": _WIDTH,
    "input_dim": _WIDTH,
    "output_dim": _WIDTH,
    "pose_dim": _WIDTH,
    "pose_shape": _WIDTH,
    "coordinate_entries": whole(0, 65_536),
    "in_channels": _WIDTH,
    "out_channels": _WIDTH,
    "channels": _WIDTH,
    "hidden": whole(1, 2**24),
    "kernel_size": _SIDE,
    "stride": _SIDE,
    "padding": _PADDING,
    "grid": _SIDE,
    "image_shape": _SIDE,
    "iterations": whole(1, 1000),
    "item_dim": _WIDTH,
    "num_interests": whole(1, 2**20),
    "interest_dim": _WIDTH,
    "max_items": whole(1, 2**20),
    "std": Bound(0, 1e6),
    "seed": whole(-(2**63), 2**63 - 1),
    "waves": whole(1, 4096),
    "dropout": Bound(0, 1, below=True),
    "scale": Bound(-1e6, 1e6),
    "offset": Bound(-1e6, 1e6),
}
"""Bounds by argument name; for a sequence, of each element."""

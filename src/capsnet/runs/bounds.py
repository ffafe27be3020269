"""Bounds of the numeric fields of a run's configuration."""

from collections.abc import Mapping

from capsnet.bounds import Bound, whole

_PIXELS = whole(0, 4096)
_SIDE = whole(1, 4096)
_COUNT = whole(1, 10**9)

BOUNDS: Mapping[str, Bound] = {
    "image_size": _SIDE,
    "iterations": whole(1, 1000),
    "epochs": whole(1, 10**6),
    "steps": _COUNT,
    "batch_size": whole(1, 10**6),
    "accumulate": whole(1, 10**6),
    "momentum": Bound(0, 1, below=True),
    "weight_decay": Bound(0, 1000),
    "lr": Bound(0, 1000, above=True),
    "backbone_lr": Bound(0, 1, above=True),
    "lr_decay": Bound(0, 1, above=True),
    "lr_decay_steps": _COUNT,
    "lr_milestones": whole(1, 10**6),
    "lr_floor": Bound(0, 1000),
    "recon_weight": Bound(0, 10**6),
    "shift": Bound(0, 4096),
    "rotation": Bound(0, 360),
    "rotation_chance": Bound(0, 1),
    "squeeze": _PIXELS,
    "erase": _SIDE,
    "erase_corners": _PIXELS,
    "enlarge": _SIDE,
    "shrink": _SIDE,
    "crop": _SIDE,
    "brightness": Bound(0, 255),
    "contrast": Bound(0, 1),
    "pairs_per_digit": whole(1, 10**6),
    "validation": Bound(0, 10**9),
    "validation_shift": _PIXELS,
    "stop_at": Bound(0, 1, above=True),
    "limit": _COUNT,
    "test_limit": _COUNT,
    # training multiplies it by a million, which must fit into 64 bits
    "seed": whole(0, 2**32 - 1),
}
"""An entry for every numeric field; in a tuple, for each number."""

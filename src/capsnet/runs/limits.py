"""Limits on sizes in files, so that a damaged or malicious file cannot exhaust time or memory."""

from collections.abc import Mapping

from capsnet.errors import UserError

# as in runs/bounds.py
_SIDE = 4096
LIMITS: Mapping[str, int] = {
    "image_shape": _SIDE,
    "image_size": _SIDE,
    "enlarge": _SIDE,
    "shrink": _SIDE,
    "crop": _SIDE,
    "shift": _SIDE,
    "validation_shift": _SIDE,
    "padding": _SIDE,
    "squeeze": _SIDE,
    "erase": _SIDE,
    "erase_corners": _SIDE,
    "num_classes": 65_536,
    "iterations": 1_000,
    "depth": 1_000,
    "inverse_temperature": 1_000_000,
    "batch_size": 1_000_000,
    "pairs_per_digit": 1_000_000,
}
"""The largest number of an entry, by its name, at any depth; in a list, of each number."""
SIZE = 65_536
"""The largest number of a model's option without its own limit."""
ENTRIES = 1_000
"""The largest length of a list in the options of a model."""


def check_limits(value: object, name: str, entry: str = "", *, size: int | None = None) -> None:
    """Refuse a number above its limit, before anything is built from it.

    Args:
        value: from `json.loads`, not nested deeper than `parse_json` allows.
        name: of the file, for messages.
        entry: path of the value in the file.
        size: limit of numbers that `LIMITS` does not name; lists are limited, too. None: no such limits.

    Raises:
        UserError: a number or a list exceeds its limit.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            check_limits(item, name, f"{entry}.{key}" if entry else str(key), size=size)
    elif isinstance(value, list | tuple):
        if size is not None and len(value) > ENTRIES:
            raise UserError(f"{name}: the entry {entry!r} has {len(value):,} values, the limit is {ENTRIES:,}")
        for item in value:
            check_limits(item, name, entry, size=size)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        limit = LIMITS.get(entry.rpartition(".")[2], size)
        if limit is not None and not abs(value) <= limit:
            digits = str(value)
            got = digits if len(digits) < 24 else f"{digits[:20]}..."
            raise UserError(f"{name}: the entry {entry!r} is {got}, the limit is {limit:,}")

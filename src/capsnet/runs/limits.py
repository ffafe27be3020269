"""The largest sizes that are accepted from a file: a damaged or hostile one must not keep a process busy for ever."""

from collections.abc import Mapping

from capsnet.errors import UserError

_SIDE = 2048
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
    "batch_size": 1_000_000,
    "pairs_per_digit": 1_000_000,
}
"""The largest number under an entry's name, wherever it stands; of a list, each of its numbers."""
SIZE = 65_536
"""The largest number of an option of a model that has no limit of its own."""
ENTRIES = 1_000
"""The most entries of a list in the options of a model."""


def check_limits(value: object, name: str, entry: str = "", *, size: int | None = None) -> None:
    """Refuse a number above its limit, before anything is built from it.

    Args:
        value: what `json.loads` gives, not deeper than `parse_json` allows.
        name: of the file, for messages.
        entry: where the value stands in it.
        size: the limit of numbers that `LIMITS` does not name, and a limit on the length of lists; None: none.

    Raises:
        UserError: a number or a list above its limit; the entry, its value and the limit are named.
    """
    if isinstance(value, dict):
        for key, part in value.items():
            check_limits(part, name, f"{entry}.{key}" if entry else str(key), size=size)
    elif isinstance(value, list | tuple):
        if size is not None and len(value) > ENTRIES:
            raise UserError(f"{name}: the entry {entry!r} has {len(value):,} values, the limit is {ENTRIES:,}")
        for part in value:
            check_limits(part, name, entry, size=size)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        limit = LIMITS.get(entry.rpartition(".")[2], size)
        if limit is not None and not abs(value) <= limit:
            digits = str(value)
            got = digits if len(digits) < 24 else f"{digits[:20]}..."
            raise UserError(f"{name}: the entry {entry!r} is {got}, the limit is {limit:,}")

"""Which implementations are used: the environment variable `CAPSNET_KERNELS`."""

import contextlib
import os
from collections.abc import Iterator
from typing import Literal, get_args

from capsnet.errors import UserError

Mode = Literal["auto", "torch", "plain"]

_VARIABLE = "CAPSNET_KERNELS"


def mode() -> Mode:
    """The implementations in use: `"auto"`, `"torch"` or `"plain"`.

    Raises:
        UserError: `CAPSNET_KERNELS` holds something else.
    """
    value = os.environ.get(_VARIABLE) or "auto"
    for known in get_args(Mode):
        if value == known:
            chosen: Mode = known
            return chosen
    raise UserError(f"{_VARIABLE} must be 'auto', 'torch' or 'plain', got {value!r}")


@contextlib.contextmanager
def use(mode: Mode) -> Iterator[None]:
    """Choose `"auto"`, `"torch"` or `"plain"` inside a `with` block, by an environment variable of the whole process.

    A compiled model keeps the choice made at compile time.

    Raises:
        UserError: another word.

    Example:
        >>> with capsnet.kernels.use("plain"):
        ...     output = model(images)
    """
    if mode not in get_args(Mode):
        raise UserError(f"mode must be 'auto', 'torch' or 'plain', got {mode!r}")
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = mode
    try:
        yield
    finally:
        # another thread may have removed it
        os.environ.pop(_VARIABLE, None)
        if before is not None:
            os.environ[_VARIABLE] = before

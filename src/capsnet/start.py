"""How a process starts and ends quickly."""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting_later() -> Iterator[None]:
    """Import modules without looking for garbage in between.

    They make a million objects that stay; looking through them takes a sixth of the time of `import torch`.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            # counts them as old, so that the next short collection does not go through them after all
            gc.freeze()
            gc.unfreeze()
        if enabled:
            gc.enable()


def exit_quickly() -> None:
    """At the end of this process, look for no garbage either: all of its memory is given back anyway.

    After `import torch` that takes a third of a second.
    """
    atexit.register(_keep_garbage)


def _keep_garbage() -> None:
    # Triton would report as a leak what is still there
    if "triton" not in sys.modules:
        gc.freeze()

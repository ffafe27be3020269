"""How a process starts and ends quickly, and what it does with memory in between."""

import atexit
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")

# M_MMAP_THRESHOLD: larger blocks are the operating system's own. M_TRIM_THRESHOLD: the heap of the others does not
# shrink and grow at each step. M_ARENA_MAX: threads share it.
_OPTIONS = {-3: 8 << 20, -1: 400 << 20, -8: 1}


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


@contextmanager
def quitting_on_interrupt() -> Iterator[None]:
    """While the command imports its modules, let Ctrl-C end the process at once, with status 130 and one line.

    There is nothing to save yet, and libraries that are interrupted in their imports answer with faults of their own.
    Where capsnet is used as a library, or somebody else handles the signal, nothing is changed.
    """
    try:
        if not _is_command() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            raise ValueError
        signal.signal(signal.SIGINT, _quit)
    except ValueError:
        # only the main thread may set handlers
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_command() -> bool:
    program = Path(sys.argv[0])
    # of `python -m capsnet`, the first argument is -m until the module is found
    if sys.argv[0] == "-m":
        return "capsnet" in sys.orig_argv
    return program.stem == "capsnet" or program.parts[-2:] == ("capsnet", "__main__.py")


def _quit(number: int, frame: FrameType | None) -> None:
    os.write(2, b"capsnet: interrupted\n")
    os._exit(130)


def exit_quickly() -> None:
    """At the end of this process, look for no garbage either: all of its memory is given back anyway.

    After `import torch` that takes a third of a second.
    """
    atexit.register(_keep_garbage)


def _keep_garbage() -> None:
    # Triton would report as a leak what is still there
    if "triton" not in sys.modules:
        gc.freeze()


def return_memory() -> bool:
    """From now on let freed tensors of more than 8 MB go back to the operating system at once.

    glibc by itself keeps blocks of up to 32 MB, between which the next tensors do not fit: a process that trains the
    paper's network then holds half as much again (dev/LOG.md). Huge pages make up for the time that new memory takes;
    without them, without glibc, or where the user has set `MALLOC_...` or `GLIBC_TUNABLES`, nothing is changed.

    Returns:
        Whether it is so now.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    if not _HUGE_PAGES.is_file() or "[never]" in _HUGE_PAGES.read_text():
        return False
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return False
    # torch looks at it when it first makes a tensor
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    return [set_option(option, value) for option, value in _OPTIONS.items()] == [1] * len(_OPTIONS)

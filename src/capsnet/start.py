"""Set up the process of a command: interrupts, garbage collector and memory allocator."""

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

# M_MMAP_THRESHOLD: larger blocks are mapped from the operating system. M_TRIM_THRESHOLD: the heap of smaller blocks
# does not shrink and grow at each step. M_ARENA_MAX: threads share one heap.
_OPTIONS = {-3: 8 << 20, -1: 400 << 20, -8: 1}


@contextmanager
def keeping_modules() -> Iterator[None]:
    """Import the modules of a command without garbage collection, and exempt them from all later collections.

    `import torch` creates a million objects that live until the process ends. Without this, collections traverse them
    several times, the last time at exit, which costs a quarter of the processor time of a short command (dev/LOG.md).
    """
    gc.disable()
    try:
        yield
    finally:
        # Triton's modules report a leak at exit if they are not collected
        if "triton" not in sys.modules:
            gc.freeze()
        gc.enable()


@contextmanager
def quitting_on_interrupt() -> Iterator[None]:
    """While a command imports its modules, let Ctrl-C end the process at once, with status 130 and one line.

    There is nothing to save yet, and a library whose import is interrupted may print a traceback of its own. If the
    signal has a handler already, or this is not the main thread, nothing changes.
    """
    try:
        # the second: of a command that has just started (capsnet.command)
        if signal.getsignal(signal.SIGINT) not in (signal.default_int_handler, signal.SIG_DFL):
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


def _quit(number: int, frame: FrameType | None) -> None:
    os.write(2, b"capsnet: interrupted\n")
    os._exit(130)


def return_memory() -> bool:
    """Make malloc return freed tensors of more than 8 MB to the operating system at once.

    The command line calls it before it imports PyTorch; a program of your own may do the same. By default, glibc keeps
    blocks of up to 32 MB, between which the next tensors do not fit: a process that trains the paper's network then
    holds half as much memory again (dev/LOG.md). Huge pages make up for the time that new memory takes. Without huge
    pages or glibc, or if `MALLOC_...` or `GLIBC_TUNABLES` is set, nothing changes.

    Returns:
        Whether the allocator was set.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    if not _HUGE_PAGES.is_file() or "[never]" in _HUGE_PAGES.read_text():
        return False
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return False
    # PyTorch reads it when it creates its first tensor
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    return [set_option(option, value) for option, value in _OPTIONS.items()] == [1] * len(_OPTIONS)

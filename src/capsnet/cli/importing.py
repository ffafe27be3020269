"""How a verb imports its modules: a command is set up for it, a program that calls `main([...])` stays as it is."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from capsnet.start import keeping_modules, quitting_on_interrupt

_IS_COMMAND = ContextVar("is_command", default=False)


@contextlib.contextmanager
def as_command(*, is_command: bool) -> Iterator[None]:
    """Let `importing` in the block know whether this process is the command.

    Args:
        is_command: otherwise, Ctrl-C and the garbage collector belong to the program.
    """
    token = _IS_COMMAND.set(is_command)
    try:
        yield
    finally:
        _IS_COMMAND.reset(token)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Import modules in the block; in a command, with its handling of Ctrl-C and its garbage collection."""
    if not _IS_COMMAND.get():
        yield
        return
    with quitting_on_interrupt(), keeping_modules():
        yield

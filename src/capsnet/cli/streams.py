"""Standard output and error of a command, either of which may be closed, or lose its reader, at any time."""

import contextlib
import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TextIO, cast, runtime_checkable

from capsnet.errors import UserError


@runtime_checkable
class Stream(Protocol):
    """What is used of standard output and error, for which a program may have put other objects."""

    def write(self, text: str, /) -> int:
        """Write text; returns its length."""

    def flush(self) -> None:
        """Pass on what is written."""

    def fileno(self) -> int:
        """Number of the open file."""


@contextlib.contextmanager
def open_streams() -> Iterator[None]:
    """Let the block print: to nowhere if a stream is closed, and to standard error without errors."""
    before = sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        # Python sets a stream to None that was closed when the process began
        for name, stream in zip(("stdout", "stderr"), before, strict=True):
            if cast(TextIO | None, stream) is None:
                setattr(sys, name, stack.enter_context(Path(os.devnull).open("w", encoding="utf-8")))
        sys.stderr = cast(TextIO, _Tolerant(sys.stderr))
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


class _Tolerant:
    """A stream for progress and messages: what cannot be written is dropped, as the work must go on.

    Args:
        stream: the actual one.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, if possible."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            drop_output(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flush, if possible."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            drop_output(self._stream)

    def fileno(self) -> int:
        """Number of the open file."""
        return self._stream.fileno()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def drop_output(stream: Stream) -> None:
    """Discard output that cannot be written: otherwise Python retries at exit, and reports an error."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_reader_gone() -> bool:
    """Whether standard output is a pipe whose reader, such as `head`, has ended."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


@contextlib.contextmanager
def needing_reader(lost: str | None) -> Iterator[None]:
    """If the reader of standard output ends during the block, say what is therefore missing.

    Args:
        lost: such as `the figure is not drawn`; None: nothing, the output was all there is.

    Raises:
        UserError: the reader ended.
    """
    try:
        yield
    except BrokenPipeError:
        if lost is None or not is_reader_gone():
            raise
        raise UserError(f"the reader of standard output has ended, and {lost}; repeat the command without it") from None

"""Ctrl-C, SIGTERM and hang-up as a request to stop, which is handled between two steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Whether the user has requested a stop."""

    requested: bool = False


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn Ctrl-C, SIGTERM and hang-up into a request; a second signal stops at once.

    Under `nohup`, hang-up stays ignored.
    """
    request = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if request.requested:
            raise KeyboardInterrupt("stopped at once; the last checkpoint is intact")
        request.requested = True

    try:
        before = {number: signal.signal(number, handle) for number in _signals()}
    except ValueError:
        # only the main thread may set handlers
        yield request
        return
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signals() -> list[signal.Signals]:
    numbers = [signal.SIGINT, signal.SIGTERM]
    # absent on Windows
    hang_up = getattr(signal, "SIGHUP", None)
    if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:
        numbers.append(hang_up)
    return numbers

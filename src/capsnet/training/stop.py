"""Ctrl-C, a polite kill and the end of the terminal as a request, served between two steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Whether the user has asked to stop."""

    requested: bool = False


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn Ctrl-C, a polite kill and the end of the terminal into a request; a second one stops at once.

    Under `nohup`, which ignores the end of the terminal, that stays ignored.
    """
    request = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        if request.requested:
            raise KeyboardInterrupt("stopped at once; the last checkpoint is whole")
        request.requested = True

    try:
        before = {number: signal.signal(number, ask) for number in _signals()}
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
    # not there on Windows
    hang_up = getattr(signal, "SIGHUP", None)
    if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:
        numbers.append(hang_up)
    return numbers

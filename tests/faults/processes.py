"""Commands in processes that are killed for real: at a file operation, at a byte of a file, or at an instant.

A command runs in a process forked from this one, which has imported its modules already: a kill costs half a second.
"""

import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from capsnet.kernels import native

# events of `sys.addaudithook` that change files; each is raised just before the change
_CHANGES = frozenset(("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"))
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# also on a machine that is busy with other work
_LONGEST = 1800.0


@dataclass(frozen=True)
class Instant:
    """When a process is killed.

    Args:
        kind: `operation`: before the n-th change of a file in its folder (a file opened to write, fsync, a rename, a
            removal, a new folder); `byte`: while a file is written, after so many bytes of it; `time`: seconds after
            the start.
        at: which operation, byte or second.
    """

    kind: Literal["operation", "byte", "time"]
    at: float


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Args:
        status: exit status; negative: the signal that killed it.
        output: what it printed.
        seconds: how long it ran.
        operations: changes of files, of a process that was not killed.
    """

    status: int
    output: str
    seconds: float
    operations: int = 0

    @property
    def killed(self) -> bool:
        """Whether it was killed, and not ended by itself."""
        return self.status in (-signal.SIGKILL, -signal.SIGXFSZ)


def run_killed(call: Callable[[], int], folder: Path, instant: Instant | None = None) -> Ended:
    """Run a call in a forked process whose working directory is `folder`, and kill it at an instant.

    Args:
        call: gives the exit status.
        folder: that the process works in; only changes of files below it count.
        instant: None: it runs to its end.
    """
    # the limit on the size of a file would hold for the compiler too, and without its kernels results round differently
    native.refusals()
    sys.stdout.flush()
    sys.stderr.flush()
    output, output_end = os.pipe()
    count, count_end = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(output)
        os.close(count)
        _become(call, folder, instant, output_end, count_end)
    os.close(output_end)
    os.close(count_end)
    deadline = start + (instant.at if instant is not None and instant.kind == "time" else _LONGEST)
    text = _read_until(output, child, deadline)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(count) as file:
        operations = int(file.read() or 0)
    seconds = time.monotonic() - start
    if seconds > _LONGEST:
        raise TimeoutError(f"the process did not end in {_LONGEST:.0f} s: {text[-500:]}")
    return Ended(status, text, seconds, operations)


def _read_until(output: int, child: int, deadline: float) -> str:
    """What a process prints; it is killed at the deadline."""
    parts = []
    with os.fdopen(output, "rb", buffering=0) as file:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([file], [], [], left)[0]:
                os.kill(child, signal.SIGKILL)
                break
            part = file.read(65536)
            if not part:
                break
            parts.append(part)
    return b"".join(parts).decode(errors="replace")


def _become(call: Callable[[], int], folder: Path, instant: Instant | None, output: int, count: int) -> None:
    """Run the call in this process, which is a fork, and end it."""
    status = 1
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        os.chdir(folder)
        os.environ["CAPSNET_CACHE_DIR"] = str(folder / "cache")
        counter = _Counter(folder, int(instant.at) if instant is not None and instant.kind == "operation" else 0)
        if instant is not None and instant.kind == "byte":
            _die_at_byte(int(instant.at))
        status = call()
        os.write(count, str(counter.count).encode())
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _die_at_byte(limit: int) -> None:
    """Let the operating system kill this process when a file would grow beyond so many bytes; the bytes are written."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Python ignores this signal; its default kills
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


class _Counter:
    """Counts changes of files below a folder, and kills this process before the n-th."""

    def __init__(self, folder: Path, last: int) -> None:
        self.count, self._folder, self._last = 0, str(folder.resolve()), last
        fsync = os.fsync

        def counted(descriptor: int) -> None:
            self._tick()
            fsync(descriptor)

        os.fsync = counted
        sys.addaudithook(self._hear)

    def _hear(self, event: str, values: Sequence[object]) -> None:
        if event in _CHANGES or (event == "open" and isinstance(values[2], int) and values[2] & _WRITES):
            path = values[0]
            if isinstance(path, str | bytes | os.PathLike):
                name = os.path.join(os.getcwd(), os.fsdecode(path))  # noqa: PTH118, PTH109
                if name.startswith(self._folder):
                    self._tick()

    def _tick(self) -> None:
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

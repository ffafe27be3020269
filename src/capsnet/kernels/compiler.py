"""The C compiler of the system: which one it is, and one run of it."""

import contextlib
import functools
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

COMPILE_SECONDS = 120.0
"""Longest time for one source; it takes about one second."""
VERSION_SECONDS = 30.0
_NAMES = ("cc", "gcc", "clang")


@dataclass(frozen=True)
class Compiler:
    """A C compiler.

    Args:
        command: its path, and arguments that `$CC` names.
        version: the first line of `--version`.
    """

    command: tuple[str, ...]
    version: str


def find_compiler() -> Compiler | str:
    """The C compiler: `$CC` if set, otherwise the first of cc, gcc and clang; the reason if there is none."""
    return _find(os.environ.get("CC", "").strip(), os.environ.get("PATH"))


@functools.cache
def _find(named: str, path: str | None) -> Compiler | str:
    if os.name == "nt":
        return "kernels in C are not supported on Windows"
    command = _split(named, path) if named else next(([name] for name in _NAMES if shutil.which(name, path=path)), None)
    if command is None:
        return f"$CC is {named}, which is not found" if named else "there is no C compiler; install gcc or clang"
    program = shutil.which(command[0], path=path) or command[0]
    if _opens_a_window(program):
        return "there is no C compiler; run xcode-select --install"
    command[0] = program
    text, failure = run([*command, "--version"], VERSION_SECONDS)
    if failure is not None:
        return failure
    # empty lines come from wrappers
    return Compiler(tuple(command), next((line for line in text.splitlines() if line.strip()), program).strip())


def _split(named: str, path: str | None) -> list[str] | None:
    """The words of `$CC`, which may be a path with spaces, or a program with arguments; None if it does not exist."""
    if shutil.which(named, path=path):
        return [named]
    try:
        words = shlex.split(named)
    except ValueError:
        return None
    return words if words and shutil.which(words[0], path=path) else None


def _opens_a_window(program: str) -> bool:
    """Whether this is a placeholder of macOS, which asks in a window to install the developer tools."""
    if sys.platform != "darwin" or os.path.dirname(program) != "/usr/bin":  # noqa: PTH120
        return False
    return run(["/usr/bin/xcode-select", "--print-path"], VERSION_SECONDS)[1] is not None


def run(command: Sequence[str], seconds: float) -> tuple[str, str | None]:
    """Run a program, with all that it starts, for a limited time.

    Args:
        command: program and arguments.
        seconds: the limit.

    Returns:
        Its standard output, and None, or in one line what failed.
    """
    try:
        # a session of its own: gcc is only the driver of the processes that work
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as fault:
        return "", f"{command[0]} cannot be run: {fault.strerror}"
    with process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            return "", f"{command[0]} took more than {seconds:g} seconds"
        except BaseException:
            _kill(process)
            raise
    return output, f"{command[0]} fails: {_main_line(errors, process.returncode)}" if process.returncode else None


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill a program and all that it started."""
    # it may have ended in this moment
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


def _main_line(errors: str, status: int) -> str:
    """The line of a compiler's messages that names the first error."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else f"status {status}")

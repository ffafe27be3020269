"""Choices that are measured once for a machine: the first process to decide writes them down, all others read them.

Two implementations of one function round differently, so two runs are the same bit for bit only where both took the
same one.
"""

import contextlib
import hashlib
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from capsnet.cache import cache_dir

F = TypeVar("F", bound=Callable[..., object])


def constant(function: F) -> F:
    """Tell torch.compile not to look into a function, but to call it while compiling and keep its result.

    `torch.compiler.assume_constant_result` sets the same mark, but imports the compiler, which takes two seconds.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def remember(key: str, words: tuple[str, ...], decide: Callable[[], str]) -> str:
    """Return what this machine decided before, or decide and write it down.

    A folder that cannot be written to is no fault: then each process decides for itself.

    Args:
        key: what is decided, with its sizes.
        words: the answers there are; a file that holds another is ignored.
        decide: measures and answers.
    """
    path = _path(key)
    known = _read(path)
    if known in words:
        return known
    answer = decide()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        if known:
            path.unlink()
        _write_if_new(path, f"{answer}\n{key}\n")
    written = _read(path)
    return written if written in words else answer


def known() -> dict[str, str]:
    """What was decided so far for this machine, number of threads and torch: answers by key."""
    answers = {}
    for path in sorted((cache_dir() / "kernels").glob("*.txt")):
        answer, _, key = path.read_text().partition("\n")
        if _path(key.strip()) == path:
            answers[key.strip()] = answer
    return answers


def _path(key: str) -> Path:
    machine = (_processor(), str(torch.get_num_threads()), torch.__version__, key)
    return cache_dir() / "kernels" / f"{hashlib.sha256('|'.join(machine).encode()).hexdigest()[:20]}.txt"


def _processor() -> str:
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {capability} {os.cpu_count()}"


def _read(path: Path) -> str:
    try:
        return path.read_text().split("\n", 1)[0]
    except OSError:
        return ""


def _write_if_new(path: Path, text: str) -> None:
    """A link is made whole or not at all, and never over an older file: of two processes the first decides."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent) as file:
        file.write(text)
        file.flush()
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)

"""Memory that a piece of work adds at its peak: on a CPU in a process of its own, which then has no older peak."""

import contextlib
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch


def added_megabytes(bench: str, path: str, device: torch.device, *sizes: int) -> float:
    """Peak of one step of a benchmark's path above what its inputs take; of training, above what is held between steps.

    Args:
        bench: `"routing"`, `"routings"` or `"step"`.
        path: one of its paths.
        device: where it runs.
        sizes: of the case.
    """
    command = [sys.executable, "-m", "capsnet.bench.memory_process", bench, path, device.type, *map(str, sizes)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def peak_of(work: Callable[[], object], device: torch.device) -> float:
    """Megabytes that `work` adds at its peak to what is allocated now."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    held = _resident("VmRSS")
    _forget_peak()
    work()
    return _resident("VmHWM") - held


def _resident(field: str) -> float:
    """Megabytes that this process holds (`VmRSS`), or held at its peak (`VmHWM`)."""
    status = Path("/proc/self/status")
    if status.exists():
        # not ru_maxrss, which on Linux begins with the parent's
        return int(status.read_text().split(f"{field}:")[1].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _forget_peak() -> None:
    """Let the peak begin anew: making the inputs may have taken more than they do. Linux only."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")

"""Additional memory of a piece of work at its peak: on a CPU in a separate process, which has no earlier peak."""

import logging
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch


def added_megabytes(bench: str, path: str, device: torch.device, *sizes: int) -> float:
    """Peak memory of one step of a path, above its inputs; for training, above the memory held between steps.

    Args:
        bench: `"routing"`, `"routings"` or `"step"`.
        path: of the benchmark.
        device: where it runs.
        sizes: of the case.
    """
    command = [sys.executable, "-m", "capsnet.bench.memory_process", bench, path, str(device), *map(str, sizes)]
    # what it prints on standard error is shown
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def peak_of(work: Callable[[], object], device: torch.device) -> float:
    """Megabytes at the peak of `work`, above the memory allocated before it."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    held = _resident("VmRSS")
    if not _reset_peak():
        logging.getLogger("capsnet").warning(
            "the earlier peak of this process's memory cannot be reset here: the memory measured may be too little"
        )
    work()
    return _resident("VmHWM") - held


def _resident(field: str) -> float:
    """Megabytes that this process holds (`VmRSS`), or held at its peak (`VmHWM`)."""
    status = Path("/proc/self/status")
    if status.exists():
        # not ru_maxrss, which on Linux starts at the parent's
        return int(status.read_text().split(f"{field}:")[1].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _reset_peak() -> bool:
    """Reset the peak, as creating the inputs may have needed more memory than they hold. False: only Linux can do it,
    and not in every container."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True

"""How many processors this process may use: those it may run on, within the quota of its container."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def count_processors() -> int:
    """How many processors this process may use at the same time.

    It is the number of processors that it may run on, or the number that its quota of processor time is worth, rounded
    up, if that is lower. `docker run --cpus 2` and Kubernetes' limits set such a quota. Where the system tells neither,
    it is the number of processors of the machine.
    """
    quota = find_quota()
    return _allowed() if quota is None else max(1, min(_allowed(), math.ceil(quota)))


def find_quota() -> float | None:
    """The processors that the quotas of this process' control groups are worth; None without a quota, or off Linux."""
    quotas = [quota for folder in _folders() if (quota := _read(folder)) is not None]
    return min(quotas, default=None)


def limit_threads() -> None:
    """Let PyTorch start no more threads than this process has processors.

    By itself PyTorch counts the machine's processors. Beyond the quota of a container, its threads wait for each other
    most of the time. This must be called before PyTorch is imported. If `OMP_NUM_THREADS` is set, or no quota is below
    the number of processors, nothing changes.
    """
    if count_processors() < _allowed():
        os.environ.setdefault("OMP_NUM_THREADS", str(count_processors()))


def _allowed() -> int:
    # Linux only: a batch job may allow fewer than there are
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _folders() -> Iterator[Path]:
    """The control groups of this process and their parents, version 2 and version 1 of the interface."""
    try:
        lines = _MEMBERSHIP.read_text().splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        # hierarchy, controllers, path: "0::/user.slice", "4:cpu,cpuacct:/docker/1f"
        _, controllers, name = (*line.split(":", 2), "", "")[:3]
        if not name or (controllers and "cpu" not in controllers.split(",")):
            continue
        top = _GROUPS / controllers
        # inside a container, the path may be that of the host, which is not there
        yield from (top, *(top.joinpath(*Path(name).parts[1:end]) for end in range(2, len(Path(name).parts) + 1)))


def _read(folder: Path) -> float | None:
    """The quota of one control group, as a number of processors."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        # version 2 writes "max" where there is no quota, version 1 writes -1
        return int(quota) / int(period) if quota != "max" and int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None

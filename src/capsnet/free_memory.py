"""Free memory: of the machine, within the limits of a container, a batch job, or `ulimit -v`.

Linux kernel documentation, "Control Group v2" and "Memory Resource Controller" (version 1).
"""

import contextlib
import os
import resource
from pathlib import Path

# files of version 2 and 1: limit, usage, and the entry of memory.stat for reclaimable file pages
_FILES = {
    True: ("memory.max", "memory.current", "inactive_file"),
    False: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_memory() -> int:
    """Bytes of host memory that this process may still take; on systems without /proc, all that the machine has."""
    free, left = _machine_free(), memory_left()
    return free if left is None else min(left, free)


def _machine_free() -> int:
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return int(os.sysconf("SC_PAGE_SIZE")) * int(os.sysconf("SC_PHYS_PAGES"))


def memory_left(root: Path = Path("/sys/fs/cgroup"), groups: Path = Path("/proc/self/cgroup")) -> int | None:
    """Bytes that this process may still take; None: no limit is set.

    Args:
        root: where control groups are mounted.
        groups: file that lists the groups of this process.
    """
    left = [_group_left(folder, *_FILES[second]) for folder, second in _group_folders(root, groups)]
    return min((count for count in [*left, _address_space_left()] if count is not None), default=None)


def _group_folders(root: Path, groups: Path) -> list[tuple[Path, bool]]:
    """The control groups of this process and those around them, and whether they are of version 2."""
    folders = []
    with contextlib.suppress(OSError):
        for line in groups.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            base = root if not controllers else root / "memory"
            inside = base / path.strip("/")
            around = [folder for folder in inside.parents if folder == base or base in folder.parents]
            folders += [(folder, not controllers) for folder in (inside, *around)]
    return folders


def _group_left(folder: Path, limit: str, used: str, reclaimable: str) -> int | None:
    try:
        most = (folder / limit).read_text().strip()
        if most == "max":
            return None
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return max(int(most) - int((folder / used).read_text()) + int(statistics.get(reclaimable, 0)), 0)
    except (OSError, ValueError):
        # no such group under this mount
        return None


def _address_space_left() -> int | None:
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return most
    return max(most - pages * os.sysconf("SC_PAGE_SIZE"), 0)

"""The cache folder and its free space."""

import os

from capsnet.cache import cache_dir
from capsnet.disk_space import free_space
from capsnet.doctor.finding import Finding

# MNIST takes 12 MB, smallNORB 250; a run of the paper's network 230
_ENOUGH = 1_000_000_000


def find_storage() -> Finding:
    """The folder of downloads and measurements, whether it is writable, and its free space."""
    folder = cache_dir().absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    writable = existing.is_dir() and os.access(existing, os.W_OK)
    free = free_space(folder)
    warnings = []
    if not writable:
        warnings.append(f"cache: {folder} cannot be written to; set CAPSNET_CACHE_DIR to a folder that can")
    if free < _ENOUGH:
        warnings.append(f"cache: {free / 1e9:.1f} GB are free in {folder}")
    lines = {
        "folder": str(folder) if folder.exists() else f"{folder} (created when needed)",
        "free": f"{free / 1e9:.1f} GB",
    }
    return Finding(lines, {"folder": str(folder), "free_bytes": free, "writable": writable}, tuple(warnings))

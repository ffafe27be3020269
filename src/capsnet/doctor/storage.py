"""The cache folder and the room in it."""

import os
import shutil

from capsnet.cache import cache_dir
from capsnet.doctor.finding import Finding

# MNIST takes 12 MB, smallNORB 250; a run of the paper's network 230
_ENOUGH = 1_000_000_000


def find_storage() -> Finding:
    """Where downloads and measurements go, whether it can be written to, and what is free there."""
    folder = cache_dir().absolute()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    writable = existing.is_dir() and os.access(existing, os.W_OK)
    free = shutil.disk_usage(existing).free
    warnings = []
    if not writable:
        warnings.append(f"cache: {folder} cannot be written to; set CAPSNET_CACHE_DIR to a folder that can")
    if free < _ENOUGH:
        warnings.append(f"cache: {free / 1e9:.1f} GB are free in {folder}")
    says = {
        "folder": str(folder) if folder.exists() else f"{folder} (made when needed)",
        "free": f"{free / 1e9:.1f} GB",
    }
    return Finding(says, {"folder": str(folder), "free_bytes": free, "writable": writable}, tuple(warnings))

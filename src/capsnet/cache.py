"""The user's cache: downloads, prepared images, features, and measurements of this machine."""

import os
import time
from pathlib import Path

_STALE_SECONDS = 86400.0


def cache_dir() -> Path:
    """The folder of the cache: `$CAPSNET_CACHE_DIR`, or the system's cache folder."""
    folder = os.environ.get("CAPSNET_CACHE_DIR")
    if folder:
        return Path(folder)
    import platformdirs

    return Path(platformdirs.user_cache_dir("capsnet", appauthor=False))


def prune_cache(folder: Path, most_bytes: int, *, keep: Path | None = None) -> None:
    """Remove what a kill left behind a day ago, and of the other files those that do not fit beside newer ones.

    Args:
        folder: of the cache.
        most_bytes: that remain.
        keep: a file that stays in any case.
    """
    total = 0
    files = [(path, path.stat()) for path in folder.iterdir() if path.is_file()]
    for path, status in sorted(files, key=lambda entry: -entry[1].st_mtime):
        # safetensors writes under names of its own, `.tmp...`, too
        unfinished = path.suffix == ".part" or path.name.startswith(".tmp")
        left_behind = unfinished and time.time() - status.st_mtime > _STALE_SECONDS
        if path != keep and (left_behind or total + status.st_size > most_bytes):
            path.unlink(missing_ok=True)
        else:
            total += status.st_size

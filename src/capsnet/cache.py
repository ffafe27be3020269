"""The user's cache: downloads, and measurements of this machine."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """The folder of the cache: `$CAPSNET_CACHE_DIR`, or the system's cache folder."""
    folder = os.environ.get("CAPSNET_CACHE_DIR")
    if folder:
        return Path(folder)
    import platformdirs

    return Path(platformdirs.user_cache_dir("capsnet", appauthor=False))

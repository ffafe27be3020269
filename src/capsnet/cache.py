"""The user's cache: downloads, and what was measured once for this machine."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """The folder of the cache: `$CAPSNET_CACHE_DIR`, or the system's place for such things."""
    given = os.environ.get("CAPSNET_CACHE_DIR")
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("capsnet", appauthor=False))

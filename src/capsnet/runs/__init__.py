"""A run on the disk: its configuration, folder, weights, checkpoint and metrics.

Its names are imported when they are first used: JSON is read without PyTorch, which takes a second to load.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capsnet.runs.config import RunConfig as RunConfig
    from capsnet.runs.folder import Run as Run
    from capsnet.runs.folder import load as load

_NAMES = {"Run": "folder", "RunConfig": "config", "load": "folder"}

# a type checker would take any name for one that `__getattr__` knows
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import the module of a name on first use."""
        if name not in _NAMES:
            raise AttributeError(f"module 'capsnet.runs' has no attribute {name!r}")
        value = getattr(import_module(f"capsnet.runs.{_NAMES[name]}"), name)
        globals()[name] = value
        return value


__all__ = ["Run", "RunConfig", "load"]

"""Run folders: configuration, weights, checkpoint and metrics.

Names are imported on first use: reading JSON does not load PyTorch, which takes a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capsnet.runs.config import RunConfig as RunConfig
    from capsnet.runs.folder import Run as Run
    from capsnet.runs.folder import load as load

_NAMES = {"Run": "folder", "RunConfig": "config", "load": "folder"}

# a type checker would accept any name because of `__getattr__`
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import the module of a name on first use."""
        if name not in _NAMES:
            raise AttributeError(f"module 'capsnet.runs' has no attribute {name!r}")
        value = getattr(import_module(f"capsnet.runs.{_NAMES[name]}"), name)
        globals()[name] = value
        return value


__all__ = ["Run", "RunConfig", "load"]

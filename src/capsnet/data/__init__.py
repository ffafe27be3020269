"""Data sets by name, and folders of one's own images.

Its names are imported when they are first used: image files can be read without PyTorch, which takes a second to load.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from capsnet.registry import import_modules

if TYPE_CHECKING:
    from capsnet.data.dataset import DATASETS as DATASETS
    from capsnet.data.dataset import Dataset as Dataset
    from capsnet.data.dataset import ImageData as ImageData
    from capsnet.data.dataset import hold_out as hold_out
    from capsnet.data.loading import load_data as load_data
    from capsnet.data.loading import locate_data as locate_data

_NAMES = {
    "DATASETS": "dataset",
    "Dataset": "dataset",
    "ImageData": "dataset",
    "hold_out": "dataset",
    "load_data": "loading",
    "locate_data": "loading",
}
# what is needed for folders and files only is imported by them
_UNNAMED = [
    "array_files",
    "arrays",
    "deep",
    "examples",
    "folder",
    "formats",
    "images",
    "labelled",
    "labels",
    "layout",
    "photo",
    "prepared",
    "reading",
    "shards",
    "sources",
    "stored",
    "table",
    "table_name",
    "tar_layout",
    "tars",
    "torch_dataset",
]

# a type checker would take any name for one that `__getattr__` knows
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import all data sets, and the module of a name, on first use."""
        if name not in _NAMES:
            raise AttributeError(f"module 'capsnet.data' has no attribute {name!r}")
        import_modules(__name__, leave=_UNNAMED)
        value = getattr(import_module(f"capsnet.data.{_NAMES[name]}"), name)
        globals()[name] = value
        return value


__all__ = ["DATASETS", "Dataset", "ImageData", "hold_out", "load_data", "locate_data"]

"""Data sets by name, and folders of image files.

The names of this package are imported on first use: image files are read without importing PyTorch, which takes 1 s.
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
# modules that register no data set; they are imported where they are used
_UNNAMED = [
    "array_files",
    "arrays",
    "deep",
    "examples",
    "folder",
    "formats",
    "free_spoken_digits",
    "images",
    "input_kind",
    "japanese_vowels",
    "labelled",
    "labels",
    "layout",
    "mask_folder",
    "mask_splits",
    "photo",
    "prepared",
    "reading",
    "recordings",
    "sequences",
    "shards",
    "sources",
    "spectrogram",
    "stored",
    "table",
    "table_name",
    "tar_layout",
    "tars",
    "time_series",
    "torch_dataset",
]

# with this `__getattr__`, a type checker would accept any attribute
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Register all data sets, and import the module that defines `name`, on first use."""
        if name not in _NAMES:
            raise AttributeError(f"module 'capsnet.data' has no attribute {name!r}")
        import_modules(__name__, leave=_UNNAMED)
        value = getattr(import_module(f"capsnet.data.{_NAMES[name]}"), name)
        globals()[name] = value
        return value


__all__ = ["DATASETS", "Dataset", "ImageData", "hold_out", "load_data", "locate_data"]

"""Data sets by name, and folders of one's own images."""

from pathlib import Path

# the modules below register their data sets
from capsnet.data import affnist as _affnist  # noqa: F401
from capsnet.data import affnist_like as _affnist_like  # noqa: F401
from capsnet.data import cifar10 as _cifar10  # noqa: F401
from capsnet.data import cifar100 as _cifar100  # noqa: F401
from capsnet.data import digits as _digits  # noqa: F401
from capsnet.data import mnist as _mnist  # noqa: F401
from capsnet.data import multimnist as _multimnist  # noqa: F401
from capsnet.data import smallnorb as _smallnorb  # noqa: F401
from capsnet.data import svhn as _svhn  # noqa: F401
from capsnet.data.dataset import DATASETS as DATASETS
from capsnet.data.dataset import Dataset as Dataset
from capsnet.data.dataset import ImageData as ImageData
from capsnet.data.dataset import hold_out as hold_out
from capsnet.errors import UserError


def load_data(
    name: str, *, data_dir: Path | None = None, image_size: int = 32, skip_unreadable: bool = False
) -> Dataset:
    """Load a data set by name, or from a folder of class folders.

    Args:
        name: a name in `DATASETS`, or a folder.
        data_dir: where named data sets lie; see `capsnet.data.download`.
        image_size: side of the images of a folder.
        skip_unreadable: leave out files of a folder that are no images.

    Raises:
        UserError: neither a known name nor a folder, or files that fail a check.
    """
    if name in DATASETS:
        return DATASETS.get(name).load(data_dir)
    if Path(name).is_dir():
        from capsnet.data.folder import load_folder

        return load_folder(Path(name), image_size=image_size, skip_unreadable=skip_unreadable)
    try:
        DATASETS.get(name)
    except UserError as fault:
        raise UserError(f"{fault}, or a folder with a folder of images for each class") from None
    raise AssertionError("unreachable")


__all__ = ["DATASETS", "Dataset", "ImageData", "hold_out", "load_data"]

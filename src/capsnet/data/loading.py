"""Load a data set by its name, or from a folder, archives, a table or a file."""

from pathlib import Path
from typing import Literal

from capsnet.data.dataset import DATASETS, Dataset
from capsnet.data.labelled import is_labelled
from capsnet.data.shards import Shards
from capsnet.data.table_name import TABLE_PREFIX, TableName
from capsnet.errors import UserError


def load_data(
    name: str,
    *,
    data_dir: Path | None = None,
    image_size: int = 32,
    skip_unreadable: bool = False,
    pixel_range: tuple[float, float] | None = None,
    shards: Shards | None = None,
) -> Dataset:
    """Load a data set by name, from labelled image files, or from a file of arrays.

    Args:
        name: a name in `DATASETS`, a folder of class folders, tar archives (a pattern, or a folder of them),
            `hf:NAME[:split]`, or a `.npz` or `.csv` file.
        data_dir: folder that holds the folders of named data sets; see `capsnet.data.download`.
        image_size: side in pixels to which image files are scaled.
        skip_unreadable: leave out files that cannot be read instead of raising an error.
        pixel_range: values that become 0 and 255, for images of more than 8 bits; None: decided once for all images.
        shards: keep image files' pixels in memory-mapped files: `"always"` or `"never"`; None: if they exceed a quarter
            of the free memory.

    Raises:
        UserError: `name` is neither a known name nor a folder or file, or files fail a check.
    """
    if name in DATASETS:
        if pixel_range is not None:
            raise UserError(
                f"pixel_range must be left out, got {pixel_range[0]:g} and {pixel_range[1]:g}: {name} has 8 bits, as "
                "all data sets by name; it is for image folders and array files"
            )
        return DATASETS.get(name).load(data_dir)
    path = Path(name)
    path_type = _path_type(name)
    if path_type == "images":
        from capsnet.data.folder import load_folder

        return load_folder(
            name, image_size=image_size, skip_unreadable=skip_unreadable, pixel_range=pixel_range, shards=shards
        )
    if path_type == "file":
        from capsnet.data.array_files import load_arrays

        return load_arrays(path, pixel_range=pixel_range)
    if len(path.parts) > 1 or path.suffix in (".npz", ".csv"):
        raise UserError(f"{name}: no such folder or file; if it was moved, give its new path as `data`")
    try:
        DATASETS.get(name)
    except UserError as fault:
        raise UserError(
            f"{fault}, or a folder with a folder of images for each class, or a .npz or .csv file"
        ) from None
    raise AssertionError("unreachable")


def locate_data(name: str) -> str:
    """A data set's name that is valid in any working directory: the absolute path of a folder or file.

    Args:
        name: a name or path for `load_data`.
    """
    if name in DATASETS:
        return name
    if name.startswith(TABLE_PREFIX):
        table = TableName.parse(name)
        return str(table._replace(place=str(Path(table.place).absolute()))) if Path(table.place).is_dir() else name
    return str(Path(name).absolute()) if _path_type(name) else name


def _path_type(name: str) -> Literal["images", "file", ""]:
    if is_labelled(name):
        return "images"
    try:
        return "file" if Path(name).exists() else ""
    # an invalid path, such as one that is too long
    except (OSError, ValueError):
        return ""

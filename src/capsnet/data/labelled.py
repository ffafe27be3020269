"""Labelled image files of a person's own: class folders, tar archives, or a table of the package datasets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from capsnet.data.layout import Layout, find_layout
from capsnet.data.sources import FolderFiles, ImageFiles
from capsnet.data.table_name import TABLE_PREFIX, TableName


@dataclass(frozen=True)
class LabelledFiles:
    """Image files and what they show.

    Args:
        name: as the user gave it.
        files: where they are read from.
        layout: their classes and splits.
    """

    name: str
    files: ImageFiles
    layout: Layout


def is_labelled(name: str) -> bool:
    """Whether a name stands for labelled image files, which need not be readable."""
    from capsnet.data.tar_layout import holds_tars

    try:
        return name.startswith(TABLE_PREFIX) or Path(name).is_dir() or holds_tars(Path(name))
    # a name that no file can have, such as one that is too long
    except (OSError, ValueError):
        return False


def find_labelled(name: Path | str, *, class_names: Sequence[str] | None = None) -> LabelledFiles:
    """Find labelled image files; no image is read.

    Args:
        name: a folder of class folders or of tar archives, an archive, a pattern such as `shard-{000..009}.tar`, or
            `hf:NAME[:split]`.
        class_names: the classes of a trained model, of which any may be there; None: those of the training images.

    Raises:
        UserError: nothing that has labels.
    """
    if str(name).startswith(TABLE_PREFIX):
        # only tables need the package datasets
        from capsnet.data.table import find_table

        table, layout = find_table(TableName.parse(str(name)), class_names=class_names)
        return LabelledFiles(str(name), table, layout)
    from capsnet.data.tar_layout import find_tars, holds_tars

    folder = Path(name)
    if holds_tars(folder):
        archives, layout = find_tars(folder, class_names=class_names)
        return LabelledFiles(str(name), archives, layout)
    return LabelledFiles(str(name), FolderFiles(folder), find_layout(folder, class_names=class_names))

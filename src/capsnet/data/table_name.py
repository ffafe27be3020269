"""Names of the form `hf:PLACE[:split]`, for data sets of the package `datasets`."""

from pathlib import Path
from typing import NamedTuple

TABLE_PREFIX = "hf:"


class TableName(NamedTuple):
    """A data set of the package datasets, written `hf:PLACE[:split]`.

    Args:
        place: a folder, or a name on the Hub.
        split: the split to train on; None: `train`.
    """

    place: str
    split: str | None

    @classmethod
    def parse(cls, name: str) -> "TableName":
        """Split a name into its parts."""
        place = name.removeprefix(TABLE_PREFIX)
        head, _, split = place.rpartition(":")
        if not head or not split or set(split) & {"/", "\\"} or Path(place).is_dir():
            return cls(place, None)
        return cls(head, split)

    def __str__(self) -> str:
        """The name as the user writes it."""
        return f"{TABLE_PREFIX}{self.place}" + (f":{self.split}" if self.split else "")

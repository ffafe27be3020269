"""Features of images: what the frozen first part of a model makes of them, computed once."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from capsnet.errors import UserError


@dataclass(frozen=True)
class Features:
    """The features of images, as rows of a table that may be memory-mapped.

    Args:
        table: features of all images, and perhaps of others.
        rows: of each image, its row in the table.

    Shapes:
        table `k ...`, rows `m`.

    Raises:
        UserError: a row that the table does not have.
    """

    table: Float[Tensor, "k ..."]
    rows: Int[Tensor, " m"]

    def __post_init__(self) -> None:
        if len(self.rows) and not 0 <= int(self.rows.min()) <= int(self.rows.max()) < len(self.table):
            raise UserError(f"rows must be 0 to {len(self.table) - 1}, got {self.rows.min()} to {self.rows.max()}")

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, indices: Int[Tensor, " b"] | slice) -> Float[Tensor, "b ..."]:
        """The features of the images at `indices`, on the table's device."""
        return self.table[self.rows[indices]]

    def select(self, indices: Int[Tensor, " _"]) -> "Features":
        """The features of the images at `indices`, still in the table."""
        return replace(self, rows=self.rows[indices])

    def to(self, device: torch.device | str) -> "Features":
        """The same features on another device."""
        return Features(self.table.to(device), self.rows.to(device))

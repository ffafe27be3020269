"""`metrics.csv`."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from capsnet.errors import UserError
from capsnet.runs.files import write_text

COLUMNS = (
    "step",
    "epoch",
    "learning_rate",
    "loss",
    "margin_loss",
    "reconstruction_loss",
    "accuracy",
    "images_per_second",
    "seconds",
    "validation_loss",
    "validation_accuracy",
)


class MetricsFile:
    """A CSV file to which rows are added; a row is on the disk when `append` returns.

    Args:
        path: the file; it is made when the first row comes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Mapping[str, float]) -> None:
        """Add a row; a value that is missing leaves its cell empty."""
        text = "" if self.path.exists() else ",".join(COLUMNS) + "\n"
        text += ",".join(f"{row[name]:.8g}" if name in row else "" for name in COLUMNS) + "\n"
        try:
            with self.path.open("a") as file:
                file.write(text)
        except OSError as fault:
            raise UserError(
                f"{self.path}: cannot be written ({fault.strerror}); what was saved before is whole"
            ) from None

    def drop_after(self, step: int) -> None:
        """Drop rows of later steps, and a line that a kill cut off: a resumed run writes them again."""
        if not self.path.exists():
            return
        text = self.path.read_text()
        lines = text[: text.rfind("\n") + 1].splitlines(keepends=True)
        rows = csv.DictReader(io.StringIO("".join(lines)))
        kept = [line for line, row in zip(lines[1:], rows, strict=True) if float(row["step"]) <= step]
        write_text(self.path, "".join(lines[:1] + kept))

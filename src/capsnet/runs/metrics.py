"""Read and write `metrics.csv`."""

from collections.abc import Mapping, Sequence
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
MASK_COLUMNS = (
    "step",
    "epoch",
    "learning_rate",
    "loss",
    "dice",
    "images_per_second",
    "seconds",
    "validation_loss",
    "validation_dice",
)
"""The columns of a run that trained a segmentation model."""


class MetricsFile:
    """A CSV file to which rows are added; a row is in the file when `append` returns.

    Args:
        path: the file; the first row creates it.
        columns: of the file.
    """

    def __init__(self, path: Path, columns: Sequence[str] = COLUMNS) -> None:
        self.path, self._columns = path, columns

    def append(self, row: Mapping[str, float]) -> None:
        """Append a row; missing values become empty cells."""
        # an empty file: a kill cut off its first line, which `drop_after` dropped
        begun = self.path.exists() and self.path.stat().st_size > 0
        text = "" if begun else ",".join(self._columns) + "\n"
        text += ",".join(f"{row[name]:.8g}" if name in row else "" for name in self._columns) + "\n"
        try:
            with self.path.open("a") as file:
                file.write(text)
        except OSError as fault:
            raise UserError(f"{self.path} cannot be written ({fault.strerror}); earlier files are intact") from None

    def drop_after(self, step: int) -> None:
        """Drop rows of later steps, and a line that was cut off: a resumed run writes them again."""
        if not self.path.exists():
            return
        head, lines = _read_lines(self.path)
        kept = [line for line, row in zip(lines, _parse(head, lines, self.path), strict=True) if row["step"] <= step]
        write_text(self.path, "".join([head, *kept]))


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics file, without empty cells and without a line that was cut off.

    Raises:
        UserError: the file cannot be read, is not UTF-8, or a row does not fit its columns.
    """
    head, lines = _read_lines(path)
    return _parse(head, lines, path)


def _read_lines(path: Path) -> tuple[str, list[str]]:
    """The line of column names and the other lines, with line ends, without a line that was cut off."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as fault:
        raise UserError(f"{path} cannot be read ({fault.strerror})") from None
    except UnicodeDecodeError as fault:
        raise UserError(f"{path} is not UTF-8 (byte {fault.start})") from None
    lines = [line + "\n" for line in text.split("\n")[:-1]]
    return (lines[0], lines[1:]) if lines else ("", [])


def _parse(head: str, lines: Sequence[str], path: Path) -> list[dict[str, float]]:
    columns = head.rstrip("\n").split(",")
    if head and not ("step" in columns and set(columns) <= {*COLUMNS, *MASK_COLUMNS}):
        raise UserError(f"{path}: its columns must be {', '.join(COLUMNS)}, got {head.strip()[:80]!r}")
    rows = []
    for number, line in enumerate(lines, start=2):
        cells = line.rstrip("\n").split(",")
        try:
            row = {name: float(cell) for name, cell in zip(columns, cells, strict=True) if cell}
        except ValueError:
            got = repr(line.strip()[:80])
            raise UserError(f"{path}: line {number} must be {len(columns)} numbers, got {got}") from None
        if not row.get("step", 0.5).is_integer():
            raise UserError(f"{path}: line {number} must have an integer as step, got {row.get('step')}")
        rows.append(row)
    return rows

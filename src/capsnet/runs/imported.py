"""The origin of an imported run's weights: a record in its folder."""

from dataclasses import asdict, dataclass
from pathlib import Path

from capsnet.runs.files import write_json
from capsnet.runs.typed import read_typed

_FILE = "imported.json"


@dataclass(frozen=True)
class Imported:
    """The contents of `imported.json`.

    Args:
        file: path of the imported file.
        sha256: SHA-256 of the file.
        source: project of the network, such as `"CapsNet-Keras"`.
        command: command that repeats the import.
        notes: remarks for the user, one sentence each.
    """

    file: str
    sha256: str
    source: str
    command: str
    notes: tuple[str, ...] = ()


def write_imported(folder: Path, imported: Imported) -> None:
    """Write the record into a run's folder."""
    write_json(folder / _FILE, asdict(imported))


def read_imported(folder: Path) -> Imported | None:
    """The record of a run's folder; None if the run was trained.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / _FILE
    if not path.is_file():
        return None
    record: Imported = read_typed(path, Imported)
    return record

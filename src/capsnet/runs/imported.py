"""Where the weights of an imported run come from: a record in its folder, beside its configuration."""

from dataclasses import asdict, dataclass
from pathlib import Path

from capsnet.runs.files import write_json
from capsnet.runs.typed import read_typed

_FILE = "imported.json"


@dataclass(frozen=True)
class Imported:
    """What `imported.json` holds.

    Args:
        file: the file that was imported.
        sha256: of its bytes.
        source: whose network it is, such as `"CapsNet-Keras"`.
        command: what imports it again.
        notes: what a person should know of it, one sentence each.
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
    """The record of a run's folder; None: the run was trained.

    Raises:
        UserError: a file that is damaged.
    """
    path = folder / _FILE
    if not path.is_file():
        return None
    record: Imported = read_typed(path, Imported)
    return record

"""What a folder holds, without what differs between two runs of the same work: times and dates."""

import csv
import hashlib
import json
import re
import zipfile
from pathlib import Path

from safetensors import safe_open

_TABLE_TIMES = re.compile(rb"[\d,]+ s (?=\|)|[\d.]+ minutes in all")
_TIMES = frozenset(("seconds", "images_per_second", "milliseconds"))
# of the machine and the moment
_SKIPPED = frozenset((".lock", "environment.json"))


def snapshot(folder: Path) -> dict[str, str]:
    """A digest of each file below a folder by its path; files that a kill may leave over are not among them."""
    held = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and path.name not in _SKIPPED and not is_left_over(name):
            held[name] = _digest(path)
    return held


def left_over(folder: Path) -> list[str]:
    """Files and folders that a kill left beside the others."""
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*"))]
    return [name for name in names if is_left_over(name)]


def is_left_over(name: str) -> bool:
    """Whether this is a file that was being written, or lies in a folder that was."""
    parts = Path(name).parts
    return (
        any(part.startswith(".") and ".part" in part for part in parts)
        or parts[-1].startswith(".tmp")
        or (name.endswith(".part"))
    )


def _digest(path: Path) -> str:
    if path.suffix == ".safetensors":
        content = _tensors(path)
    elif path.name == "metrics.csv":
        with path.open(newline="") as file:
            rows = [{key: cell for key, cell in row.items() if key not in _TIMES} for row in csv.DictReader(file)]
        content = json.dumps(rows).encode()
    elif path.suffix == ".json":
        content = json.dumps(_without_times(json.loads(path.read_bytes()))).encode()
    elif path.name == "table.md":
        content = _TABLE_TIMES.sub(b"", path.read_bytes())
    elif path.suffix == ".pt2":
        with zipfile.ZipFile(path) as archive:
            parts = [(item.filename, item.CRC) for item in archive.infolist()]
        # these two differ between two exports of the same network
        content = repr([part for part in parts if not part[0].endswith(("model.json", "serialization_id"))]).encode()
    else:
        content = path.read_bytes()
    return hashlib.sha256(content).hexdigest()


def _tensors(path: Path) -> bytes:
    digest = hashlib.sha256()
    with safe_open(path, "np") as file:
        for name in sorted(file.keys()):
            tensor = file.get_tensor(name)
            digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode() + tensor.tobytes())
        for name, text in sorted((file.metadata() or {}).items()):
            words = json.dumps(_without_times(json.loads(text))) if text.startswith("{") else text
            digest.update(f"{name} {words}".encode())
    return digest.digest()


def _without_times(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_times(part) for key, part in value.items() if key not in _TIMES}
    if isinstance(value, list):
        return [_without_times(part) for part in value]
    return value

"""Which data sets are present, and where they are searched."""

import os
from pathlib import Path

from capsnet.data import DATASETS
from capsnet.data.download import data_folders
from capsnet.doctor.finding import Finding


def find_data() -> Finding:
    """Search each data set as a run does; nothing is read or downloaded."""
    data_dir = os.environ.get("CAPSNET_DATA_DIR")
    searched = [folder.parent for folder in data_folders("any")]
    lines = {"searched in": ", ".join(map(str, searched)) + ("" if data_dir else " ($CAPSNET_DATA_DIR is not set)")}
    values: dict[str, object] = {"searched": [str(folder) for folder in searched]}
    paths: dict[str, str | None] = {}
    warnings = []
    if data_dir and not Path(data_dir).is_dir():
        warnings.append(f"data: $CAPSNET_DATA_DIR is {data_dir}, which is not a folder")
    for name in DATASETS:
        source = DATASETS.get(name)
        path = source.find(None)
        origin = f", made from {source.made_from}" if source.made_from else ""
        paths[name] = str(path) if path else None
        lines[name] = f"{path or 'not found'}{origin}"
        partial = [folder for folder in data_folders(name) if folder.is_dir()]
        if path is None and partial:
            warnings.append(f"data: {partial[0]} exists, but lacks files that {name} needs")
    return Finding(lines, {**values, "found": paths}, tuple(warnings))

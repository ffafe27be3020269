"""Which data sets are at hand, and where they were searched."""

import os
from pathlib import Path

from capsnet.data import DATASETS
from capsnet.data.download import data_folders
from capsnet.doctor.finding import Finding


def find_data() -> Finding:
    """Search each data set where a run would; nothing is read or downloaded."""
    given = os.environ.get("CAPSNET_DATA_DIR")
    searched = [folder.parent for folder in data_folders("any")]
    says = {"searched in": ", ".join(map(str, searched)) + ("" if given else " ($CAPSNET_DATA_DIR is not set)")}
    values: dict[str, object] = {"searched": [str(folder) for folder in searched]}
    sets: dict[str, str | None] = {}
    warnings = []
    if given and not Path(given).is_dir():
        warnings.append(f"data: $CAPSNET_DATA_DIR is {given}, which is no folder")
    for name in DATASETS:
        source = DATASETS.get(name)
        found = source.find(None)
        made = f", made from {source.made_from}" if source.made_from else ""
        sets[name] = str(found) if found else None
        says[name] = f"{found or 'not found'}{made}"
        partial = [folder for folder in data_folders(name) if folder.is_dir()]
        if found is None and partial:
            warnings.append(f"data: {partial[0]} is there, but not all that {name} needs")
    return Finding(says, {**values, "found": sets}, tuple(warnings))

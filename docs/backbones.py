"""The tables of docs/backbones.md, from docs/backbones.json, which benchmarks/backbones.py writes."""

import json
from pathlib import Path
from statistics import mean, stdev

from results import put

MARKS = "<!-- backbones: made by docs/fill.py -->", "<!-- end of backbones -->"
FEW = "<!-- few photos: made by docs/fill.py -->", "<!-- end of few photos -->"
OBJECTS = "<!-- objects: made by docs/fill.py -->", "<!-- end of objects -->"
MEASURED = Path(__file__).with_name("backbones.json")
_WORDS = {
    "capsules": "frozen backbone, capsules (recipe `own-photos`)",
    "linear": "frozen backbone, linear classifier",
    "scratch": "from scratch: small residual network under self-routing (recipe `own-images`)",
    "before": "from scratch: ResNet-20 under self-routing (`own-images` before)",
    "cnn": "from scratch: three convolutions and a linear classifier",
}


def fill(text: str) -> str:
    """The page with its tables."""
    for marks, folder in ((MARKS, "Dataset"), (FEW, "Dataset-200"), (OBJECTS, "cifar10")):
        text = put(text, marks, table(folder))
    return text


def table(folder: str) -> str:
    """Accuracy of each network on the photos of a folder, with its time."""
    part = json.loads(MEASURED.read_text())[folder]
    rows = [(name, part["networks"][name]) for name in _WORDS if name in part["networks"]]
    lines = [
        "| network | side | trained parameters | epochs | seconds | test accuracy |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, runs in rows:
        cells = (
            _WORDS[name],
            runs[0]["image_size"],
            f"{runs[0]['parameters']:,}",
            f"{mean(run['epochs'] for run in runs):.0f}",
            f"{mean(run['seconds'] for run in runs):.0f}",
            _accuracy([run["accuracy"] for run in runs]),
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _accuracy(values: list[float]) -> str:
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread} % (n = {len(values)})"

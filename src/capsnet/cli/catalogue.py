"""Names and summaries for `capsnet list`, without importing PyTorch.

`catalogue.json` holds them. `make catalogue` writes it from the registries, and a test compares the two. It also lists
the files of each folder: if a file was added or removed since, or another package registers entries, the registry is
read instead, so that a new routing or model is listed at once.
"""

import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TypedDict

from capsnet.registry import Registry

_FILE = Path(__file__).with_suffix(".json")
_PACKAGE = Path(__file__).parents[1]


class _Stored(TypedDict):
    files: list[str]
    entries: dict[str, str]


def list_entries(kind: str) -> dict[str, str]:
    """Names, sorted, each with its summary.

    Args:
        kind: one of `KINDS`.

    Raises:
        UserError: an unknown kind.
    """
    read = KINDS.get(kind)
    return read() if is_behind(kind) else _read()[kind]["entries"]


def is_behind(kind: str) -> bool:
    """Whether files were added or removed since, or another package registers entries."""
    group = f"capsnet.{kind.replace('-', '_')}"
    return _read()[kind]["files"] != _files(kind) or bool(metadata.entry_points(group=group))


def write_catalogue() -> None:
    """Write `catalogue.json` from the registries."""
    stored = {kind: _Stored(files=_files(kind), entries=KINDS.get(kind)()) for kind in KINDS}
    _FILE.write_text(json.dumps(stored, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _read() -> dict[str, _Stored]:
    stored: dict[str, _Stored] = json.loads(_FILE.read_text(encoding="utf-8"))
    return stored


def _files(kind: str) -> list[str]:
    patterns = {
        "routings": "routing/*.py",
        "segmenters": "models/*.py",
        "sequence-models": "models/*.py",
        "pretrained": "pretrained/*.safetensors",
    }
    pattern = patterns.get(kind, f"{kind}/*.py")
    return sorted(path.name for path in _PACKAGE.glob(pattern))


def _models() -> dict[str, str]:
    from capsnet.models import MODELS

    return {name: MODELS.get(name).summary for name in MODELS}


def _segmenters() -> dict[str, str]:
    from capsnet.models import SEGMENTERS

    return {name: SEGMENTERS.get(name).summary for name in SEGMENTERS}


def _sequence_models() -> dict[str, str]:
    from capsnet.models import SEQUENCE_MODELS

    return {name: SEQUENCE_MODELS.get(name).summary for name in SEQUENCE_MODELS}


def _routings() -> dict[str, str]:
    from capsnet.routing import ROUTINGS

    return {name: (ROUTINGS.get(name).__doc__ or "").strip().split("\n")[0].replace("`", "") for name in ROUTINGS}


def _data() -> dict[str, str]:
    from capsnet.data import DATASETS

    return {name: DATASETS.get(name).summary for name in DATASETS}


def _recipes() -> dict[str, str]:
    from capsnet.recipes import RECIPES

    return {name: RECIPES.get(name).summary for name in RECIPES}


def _studies() -> dict[str, str]:
    from capsnet.studies import STUDIES

    return {name: STUDIES.get(name).summary for name in STUDIES}


def _pretrained() -> dict[str, str]:
    from capsnet.runs.pretrained import list_pretrained, model_card

    return {name: model_card(name).split("\n")[2] for name in list_pretrained()}


KINDS: Registry[Callable[[], dict[str, str]]] = Registry("kind")
"""The functions that read the entries of each kind from its registry."""

KINDS.add("models", _models)
KINDS.add("segmenters", _segmenters)
KINDS.add("sequence-models", _sequence_models)
KINDS.add("routings", _routings)
KINDS.add("data", _data)
KINDS.add("recipes", _recipes)
KINDS.add("studies", _studies)
KINDS.add("pretrained", _pretrained)

"""Output functions of the verbs."""

import json
from collections.abc import Mapping


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(value), flush=True)


def bar(share: float, width: int = 24) -> str:
    """A text bar for a share in [0, 1]."""
    return "█" * round(share * width)

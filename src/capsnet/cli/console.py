"""What the verbs print with."""

import json
from collections.abc import Mapping


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(value), flush=True)


def bar(share: float, width: int = 24) -> str:
    """A bar of text for a share in [0, 1]."""
    return "█" * round(share * width)

"""Output functions of the verbs."""

import json
import sys
import textwrap
from collections.abc import Mapping

from capsnet.errors import UserError


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object on standard output.

    Raises:
        UserError: it holds NaN or infinity, which JSON has no form for.
    """
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        raise UserError("the result holds a number that is not finite (NaN or infinity); leave out --json") from None
    print(text, flush=True)


def counted(count: int, noun: str) -> str:
    """A number and what it counts: `1 image`, `1,000 images`; `1 series`."""
    return f"{count:,} {noun if count != 1 or noun == 'series' else noun.removesuffix('s')}"


def bar(share: float, width: int = 24) -> str:
    """A text bar for a share in [0, 1]."""
    return "█" * round(share * width)


def print_markdown(text: str) -> None:
    """Print Markdown: as it is to a file or pipe, laid out on a terminal, whose width its tables then fit."""
    if not sys.stdout.isatty():
        print(text)
        return
    # imported late: most commands print no table
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))


def wrapped(text: str, first: str = "", rest: str = "") -> str:
    """Break a text into lines of 80 columns; a longer word, such as a path, stays whole.

    Args:
        text: in one line.
        first: what the first line begins with.
        rest: what the others begin with.
    """
    return textwrap.fill(
        text, 80, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False
    )


def value_words(value: object) -> str:
    """The value of an option, as a person reads it."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)

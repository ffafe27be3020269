"""Fit the help of a command to the width of the terminal: tyro breaks the lines of options, not those above them.

tyro also keeps the line breaks within the docstring of an option, whose further lines are indented.
"""

import contextlib
import io
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class _Help(io.TextIOWrapper):
    """Collects help, in the colours and characters of the output that it is for."""

    def __init__(self, encoding: str, *, on_terminal: bool) -> None:
        self._content, self._on_terminal = io.BytesIO(), on_terminal
        super().__init__(self._content, encoding=encoding, newline="\n", write_through=True)

    def isatty(self) -> bool:
        return self._on_terminal

    def getvalue(self) -> str:
        """What was written."""
        return self._content.getvalue().decode(self.encoding)


@contextlib.contextmanager
def joined_docstrings() -> Iterator[None]:
    """Let tyro find the docstring of each option in one line."""
    import docstring_parser

    module: Any = docstring_parser
    parse = module.parse_from_object

    def parse_joined(component: object) -> Any:
        docstring = parse(component)
        for parameter in docstring.params:
            parameter.description = " ".join((parameter.description or "").split()) or None
        return docstring

    module.parse_from_object = parse_joined
    try:
        yield
    finally:
        module.parse_from_object = parse


@contextlib.contextmanager
def fitted_help() -> Iterator[None]:
    """On leaving, print what was written to standard output meanwhile, in lines that fit the terminal."""
    # a stream of text in memory has no encoding
    text = _Help(sys.stdout.encoding or "utf-8", on_terminal=sys.stdout.isatty())
    try:
        with contextlib.redirect_stdout(text), joined_docstrings():
            yield
    finally:
        print(fit_lines(text.getvalue(), shutil.get_terminal_size().columns), end="")


def fit_lines(text: str, width: int) -> str:
    """Break long lines: commands, which are indented, before an option, and others between words.

    Args:
        text: help; tyro's boxes fit already.
        width: of the terminal.
    """
    return "".join(_fit(line, width) + "\n" for line in text.splitlines())


def _fit(line: str, width: int) -> str:
    plain = _COLOUR.sub("", line)
    if len(plain) <= width:
        return line
    if plain.startswith("  "):
        return _fit_command(plain, width)
    indent = " " * 4 if plain.startswith("usage:") else ""
    return textwrap.fill(plain, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _fit_command(line: str, width: int) -> str:
    first, *options = line.split(" --")
    lines = [first]
    for option in options:
        # two columns for a space and a backslash
        if len(lines[-1]) + len(option) + 5 > width:
            lines.append("     ")
        lines[-1] += f" --{option}"
    return " \\\n".join(lines)

"""HTML elements of a report; all text is escaped here."""

import base64
from collections.abc import Mapping, Sequence
from html import escape


def section(title: str, content: str) -> str:
    """A section with a heading; empty without content.

    Args:
        title: text.
        content: HTML.
    """
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def pairs(rows: Mapping[str, object]) -> str:
    """A table of names and values; empty without rows."""
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
    return f'<div class="scroll"><table class="pairs">{cells}</table></div>' if rows else ""


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with column headings."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def cards(numbers: Mapping[str, str]) -> str:
    """Numbers side by side, each under its name."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in numbers.items())
    return f"<dl>{rows}</dl>"


def image(name: str, png: bytes, charts: bool = False) -> str:
    """An image embedded in the page.

    Args:
        name: alternative text.
        png: the picture.
        charts: whether it has lines and bars only, so that it may be inverted in dark mode.
    """
    text, kind = base64.b64encode(png).decode(), ' class="charts"' if charts else ""
    return f'<div class="picture"><img{kind} src="data:image/png;base64,{text}" alt="{escape(name)}"></div>'


def figure(name: str, png: bytes, caption: str, charts: bool = False) -> str:
    """A picture over its caption."""
    return f"<figure>{image(name, png, charts)}<figcaption>{escape(caption)}</figcaption></figure>"


def gallery(pictures: Mapping[str, bytes], prefix: str) -> str:
    """Collapsible pictures of capsules; the first is open.

    Args:
        pictures: PNG files by name.
        prefix: of the names; headings leave it out.
    """
    parts = "".join(
        f"<details{' open' if index == 0 else ''}><summary>{escape(f'Capsule {name.removeprefix(prefix)}')}</summary>"
        f"{image(name, png)}</details>"
        for index, (name, png) in enumerate(pictures.items())
    )
    return f'<div class="gallery">{parts}</div>'


def command_block(command: str) -> str:
    """A shell command to copy."""
    return f"<pre>{escape(command)}</pre>"

"""The page on which a reader draws a digit: a bundled network by `capsnet export --format web`, beside the pages."""

import functools
import logging
import tempfile
from pathlib import Path

from capsnet.demo.static import export
from capsnet.errors import UserError

NETWORK = "efficient-capsnet-mnist"
FOLDER = "draw"


@functools.cache
def pages() -> dict[str, bytes]:
    """Files of the page by their paths; none where it cannot be made."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / FOLDER
        try:
            export(NETWORK, page)
        except UserError as fault:
            logging.getLogger("mkdocs").info(f"the site has no page to draw on: {fault}")
            return {}
        return {f"{FOLDER}/{path.name}": path.read_bytes() for path in page.iterdir()}


def button() -> str:
    """A link to the page for the documentation's first page, or how to have it on one's own machine."""
    if not pages():
        return "This copy of the site was built without its drawing page; `capsnet demo` opens it on your machine."
    size = sum(map(len, pages().values())) / 1e6
    return (
        f'<a class="md-button md-button--primary" href="{FOLDER}/index.html">Draw a digit</a><br>\n'
        f"<small>A bundled network runs in this browser ({size:.0f} MB are loaded). What you draw stays here.</small>"
    )

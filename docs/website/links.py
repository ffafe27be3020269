"""Links of a document in the repository become links between pages of the site.

A document links files of the repository: they open where its code is read. The site shows some of these files as
pages of another name; their links are replaced when it is built, and `mkdocs build --strict` reports those without a
page.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

# documents that live elsewhere in the repository, by the page that shows them
BORROWED = {
    "project/contributing.md": "CONTRIBUTING.md",
    "project/changelog.md": "CHANGELOG.md",
    "project/log.md": "dev/LOG.md",
    "kernels/dynamic-routing.md": "src/capsnet/kernels/dynamic_routing/README.md",
    "kernels/strided-convolution.md": "src/capsnet/kernels/strided_conv/README.md",
    "kernels/mixtures.md": "src/capsnet/kernels/infer_mixture/README.md",
    "kernels/maps.md": "src/capsnet/kernels/dynamic_routing_maps/README.md",
}
_PAGES = {source: page for page, source in BORROWED.items()} | {
    "CITATION.cff": "project/cite.md",
    "README.md": "index.md",
    "benchmarks/README.md": "speed.md",
}
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)


def page_of(path: str) -> str | None:
    """The page of the site that shows a file of the repository, by its path in docs/; None if no page does."""
    if path in _PAGES:
        return _PAGES[path]
    if match := re.fullmatch(r"docs/(notebooks/.+)\.ipynb", path):
        return f"{match[1]}.md"
    if match := re.fullmatch(r"src/(capsnet/\w+?)(?:/__init__)?(?:\.py)?/?", path):
        return f"api/{match[1].replace('/', '.')}.md"
    return path.removeprefix("docs/") if path.startswith("docs/") else None


def links(text: str) -> Iterator[tuple[str, str]]:
    """Relative links of a document, with their anchors (`#...`, or empty); those in code are not links."""
    for link in _LINK.finditer(_CODE.sub("", text)):
        yield link[1], link[2] or ""


def to_site(text: str, source: str, page: str) -> str:
    """A document with its links replaced by those between pages.

    Args:
        text: in Markdown.
        source: its path in the repository.
        page: the path of the page that shows it, in docs/.
    """

    def replace(link: re.Match[str]) -> str:
        target = page_of(posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1])))
        if target is None:
            return link[0]
        return posixpath.relpath(target, posixpath.dirname(page) or ".") + (link[2] or "")

    parts = _CODE.split(text)
    return "".join(part if place % 2 else _LINK.sub(replace, part) for place, part in enumerate(parts))

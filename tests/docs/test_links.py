"""Every link of a document opens in the repository, and on the site."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# studies/pages holds patterns that become pages
DOCUMENTS = [
    path
    for folder in ("docs", "src", "dev", "benchmarks", "examples")
    for path in sorted((ROOT / folder).rglob("*.md"))
    if DOCS / "studies" / "pages" not in path.parents
] + sorted(ROOT.glob("*.md"))


@pytest.fixture
def pages(monkeypatch):
    """docs/website/links.py."""
    monkeypatch.syspath_prepend(str(DOCS / "website"))
    return importlib.import_module("links")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(document: Path) -> set[str]:
    """The anchors that a code host gives to the headings of a document, as the site does."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#{1,6} +(.+?) *$", text, re.MULTILINE)
    words = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in words}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_of_a_document_open_in_the_repository(document, pages):
    broken = []
    for path, anchor in pages.links(document.read_text()):
        target = document.parent / path
        if not target.exists() or (anchor and target.suffix == ".md" and anchor[1:] not in anchors(target)):
            broken.append(path + anchor)
    assert not broken


def test_files_that_pages_link_have_a_page_of_the_site(pages):
    linked = {
        (name(document), path): name((document.parent / path).resolve())
        for document in DOCUMENTS
        if DOCS in document.parents
        for path, _ in pages.links(document.read_text())
    }
    assert len(linked) > 100
    assert not [link for link, target in linked.items() if pages.page_of(target) is None]


def test_links_to_code_and_notebooks_become_links_between_pages(pages):
    text = "[a](../../src/capsnet/capsules.py) [b](../notebooks/x.ipynb#c) `[d](e.py)` [f](https://g.h) [i](#j)"
    assert pages.to_site(text, "docs/tutorials/learner.md", "tutorials/learner.md") == (
        "[a](../api/capsnet.capsules.md) [b](../notebooks/x.md#c) `[d](e.py)` [f](https://g.h) [i](#j)"
    )


def test_a_document_from_elsewhere_links_pages(pages):
    text = "[a](../docs/speed.md#b) [c](../src/capsnet/kernels/strided_conv/README.md)"
    assert pages.to_site(text, "dev/LOG.md", "project/log.md") == (
        "[a](../speed.md#b) [c](../kernels/strided-convolution.md)"
    )

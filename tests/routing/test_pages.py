"""A page in docs/routings is that of a registered routing; it names its function, and the list of them names it."""

from pathlib import Path

import pytest

from capsnet import routing
from capsnet.routing import ROUTINGS

PAGES = Path(__file__).parents[2] / "docs" / "routings"


@pytest.mark.parametrize("name", sorted(page.stem for page in PAGES.glob("*.md") if page.stem != "README"))
def test_page_of_a_routing_names_its_function(name):
    assert name in ROUTINGS
    word = name.replace("-", "_")
    function = word if word == "self_routing" else f"{word}_routing"
    assert callable(getattr(routing, function))
    assert f"`capsnet.routing.{function}`" in (PAGES / f"{name}.md").read_text()
    assert f"[{name}]({name}.md)" in (PAGES / "README.md").read_text()

"""Every routing of the package has a page, and the list of them names it."""

from pathlib import Path

import pytest

from capsnet import routing
from capsnet.routing import ROUTINGS

PAGES = Path(__file__).parents[2] / "docs" / "routings"


@pytest.mark.parametrize("name", ROUTINGS.names())
def test_routing_has_a_page_that_names_its_function(name):
    function = "self_routing" if name == "self_routing" else f"{name}_routing"
    assert callable(getattr(routing, function))
    assert f"`capsnet.routing.{function}`" in (PAGES / f"{name}.md").read_text()
    assert f"[{name}]({name}.md)" in (PAGES / "README.md").read_text()

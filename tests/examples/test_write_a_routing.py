"""The example's routing keeps the contract of those of the package."""

import importlib.util
from pathlib import Path

import pytest
from tests.routing.contract import CHECKS

from capsnet.routing import ROUTINGS

EXAMPLE = Path(__file__).parents[2] / "examples" / "write_a_routing.py"


@pytest.fixture
def example(monkeypatch):
    """The example as a module; what it registers is forgotten afterwards."""
    monkeypatch.setattr(ROUTINGS, "_values", dict(ROUTINGS._values))
    spec = importlib.util.spec_from_file_location("write_a_routing", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("check", CHECKS)
def test_example_keeps_the_contract(example, check):
    CHECKS[check](ROUTINGS.get("cosine"))


def test_example_runs_and_the_routing_is_about_thirty_lines(example, capsys):
    example.main()
    assert capsys.readouterr().out.startswith("lengths of 10 class capsules: [")
    text = EXAMPLE.read_text()
    routing = text[text.index("@ROUTINGS") : text.index("def main")]
    assert len(routing.strip().splitlines()) <= 30

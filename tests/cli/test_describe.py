import pytest

from capsnet.cli.describe import describe_routing
from capsnet.routing import ROUTINGS


@pytest.mark.parametrize("name", ROUTINGS.names())
def test_a_routing_is_described_in_80_columns_without_marks_of_code(name):
    text = "\n".join(describe_routing(name))
    assert "`" not in text
    assert "Args:" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_source_models_and_options_are_named():
    lines = describe_routing("dynamic")
    assert lines[3].startswith("source    Sabour, Frosst, Hinton")
    [models] = [line for line in lines if line.startswith("models    ")]
    assert " capsnet, capsnet-authors, capsnet-tiny," in models
    assert lines[lines.index("  iterations = 3") + 1] == "      the paper's r."

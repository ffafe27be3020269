import pytest

from capsnet.cli import main
from capsnet.cli.catalogue import KINDS, list_entries
from capsnet.cli.list import layout


@pytest.mark.parametrize("kind", list(KINDS))
def test_lists_fit_80_columns_and_lose_no_word(kind):
    entries = list_entries(kind)
    lines = layout(entries)
    assert max(map(len, lines)) <= 80
    words = [word for name, summary in entries.items() for word in (name, *summary.split())]
    assert " ".join(lines).split() == words


def test_names_that_begin_alike_stand_together():
    entries = {f"{word}-{number}": "x" for word in ("a2017", "b") for number in range(9)}
    lines = layout(entries)
    assert lines[9] == ""
    assert lines.count("") == 1


def test_pretrained_weights_have_details_too(capsys):
    main(["list", "pretrained"])
    assert "capsnet show NAME gives details" in capsys.readouterr().out

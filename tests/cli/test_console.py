import re

import pytest

from capsnet.cli.console import counted, print_markdown, wrapped

TABLE = "| row | error |\n| --- | --- |\n| " + "a long label " * 12 + "| 0.41 % |"


def test_markdown_is_printed_as_it_is_to_a_pipe(capsys):
    print_markdown(TABLE)
    assert capsys.readouterr().out == TABLE + "\n"


def test_table_fits_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    print_markdown(TABLE)
    lines = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 80
    assert "0.41 %" in " ".join(lines)
    assert not any("|" in line for line in lines)


@pytest.mark.parametrize(
    ("count", "noun", "words"),
    [(1, "images", "1 image"), (1000, "images", "1,000 images"), (0, "pairs", "0 pairs"), (1, "series", "1 series")],
)
def test_number_agrees_with_what_it_counts(count, noun, words):
    assert counted(count, noun) == words


def test_wrapped_text_keeps_words_with_hyphens_whole():
    lines = wrapped("word " * 15 + "capsnet-keras-first", "  ", "    ").splitlines()
    assert lines[1] == "    capsnet-keras-first"


def test_a_path_stays_whole_in_a_wrapped_text():
    path = "/a/folder" * 10
    assert wrapped(f"searched in {path}", "  ", "    ").split("\n") == ["  searched in", f"    {path}"]

"""Help fits the terminal."""

import pytest

from capsnet.cli import VERBS, main
from capsnet.cli.help_lines import fit_lines


def test_sentences_are_broken_between_words_and_commands_before_options():
    text = "Reproduce a paper's table.\n  capsnet sweep mnist --out sweeps/mnist --seeds 2\n│ a box of tyro │\n"
    command = "  capsnet sweep mnist \\\n      --out sweeps/mnist \\\n      --seeds 2\n"
    assert fit_lines(text, 27) == f"Reproduce a paper's table.\n{command}│ a box of tyro │\n"
    assert fit_lines(text, 20).startswith("Reproduce a paper's\ntable.\n")


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_fits_80_columns(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []


def test_lines_of_an_options_docstring_are_joined(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "a .npz, .csv or .tar file, or hf:NAME. (default: digits)" in capsys.readouterr().out

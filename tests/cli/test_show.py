"""What `capsnet show` prints can be typed."""

import shlex

import pytest

from capsnet.cli import main
from capsnet.cli.parse import parse
from capsnet.cli.sections import flags_of
from capsnet.cli.train import Train
from capsnet.recipes import RECIPES
from capsnet.runs.flags import flag_words
from capsnet.studies import STUDIES


@pytest.mark.parametrize("name", STUDIES.names())
def test_rows_of_a_study_are_lines_of_train(name, capsys):
    main(["show", name])
    shown = " ".join(capsys.readouterr().out.split())
    for row in STUDIES.get(name).rows:
        start = RECIPES.get(row.recipe).config
        words = [word for key, value in row.changes.items() for word in flag_words(key, value)]
        assert shlex.join([row.recipe, *words]) in shown
        # these need the options of a budget, too
        if "lr_milestones" in row.changes:
            continue
        changes = dict(row.changes)
        for key, place in (("model_options", start.model.options), ("routing_options", start.model.routing_options)):
            if key in changes:
                changes[key] = {**place, **changes[key]}
        assert parse(Train, words, flags_of(Train, start)).config() == start.change(**changes)


def test_a_value_of_an_option_is_written_as_it_is_read():
    assert flag_words("model_options", {"leaky": True, "sizes": (3, 2)}) == ["--option", "leaky=true", "sizes=[3,2]"]
    assert flag_words("routing_options", {"bias": False}) == ["--routing-option", "bias=false"]


def test_options_are_never_left_out(tmp_path, monkeypatch, capsys):
    # a folder of the name of a model
    monkeypatch.chdir(tmp_path)
    (tmp_path / "capsnet").mkdir()
    assert main(["show", "capsnet", "--options"]) == 2
    assert "is not a run folder" in capsys.readouterr().err

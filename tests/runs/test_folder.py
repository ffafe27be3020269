import json

import pytest

from capsnet.errors import UserError
from capsnet.runs import Run, RunConfig


def test_folders_that_are_no_runs_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such run folder"):
        Run.open(tmp_path / "nothing")
    with pytest.raises(UserError, match="is not a run folder"):
        Run.open(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json: is not JSON"):
        Run.open(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"format_version": 99}))
    with pytest.raises(UserError, match="newer capsnet"):
        Run.open(tmp_path)


def test_run_is_opened_by_a_path_of_either_kind(tiny_run):
    assert Run.open(str(tiny_run.folder)) == Run.open(tiny_run.folder) == tiny_run


def test_run_without_weights_says_how_to_go_on(tmp_path):
    run = Run.create(tmp_path / "run", RunConfig())
    with pytest.raises(UserError, match="no weights yet; go on with capsnet train --resume"):
        run.load_model()
    assert run.metrics() == []
    assert run.evaluation() is None

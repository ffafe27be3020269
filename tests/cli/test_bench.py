"""Where `capsnet bench` writes."""

from pathlib import Path

import pytest

from capsnet.cli.bench import _compare, _find_file
from capsnet.errors import UserError


def test_only_a_json_file_is_a_file(tmp_path):
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "earlier").touch()
    for name, found in (
        ("a.json", "a.json"),
        ("results", "results/here.json"),
        ("results.2024", "results.2024/here.json"),
        ("folder.json", "folder.json/here.json"),
        ("earlier", "earlier"),
    ):
        assert _find_file(tmp_path / name, "here") == tmp_path / found


def test_rows_that_were_not_measured_again_are_no_success():
    rows = [{"bench": "step", "case": {"batch": 128}, "ratio": {}}]
    with pytest.raises(UserError, match="none of its rows was measured now"):
        _compare({"rows": rows}, {"rows": [{**rows[0], "bench": "routing"}]}, Path("before.json"))

"""The script that measures few samples, and the table that is made of its record."""

import importlib
import json
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def modules(monkeypatch):
    """The script, and what makes the table."""
    found = []
    for folder in ("benchmarks", "docs"):
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(ROOT / folder))
            patch.delitem(__import__("sys").modules, "few_samples", raising=False)
            found.append(importlib.import_module("few_samples"))
            patch.delitem(__import__("sys").modules, "few_samples")
    return found


def test_script_writes_what_the_table_is_made_of(modules, tmp_path, monkeypatch):
    script, page = modules
    monkeypatch.setattr(script, "PAPER", {**script.PAPER, "children": 6})
    before = torch.get_num_threads()
    try:
        script.main((2, 3), 1, tmp_path / "record.json")
    finally:
        torch.set_num_threads(before)
    lines = page.table(json.loads((tmp_path / "record.json").read_text())).splitlines()
    assert [line.split()[1] for line in lines[2:4]] == ["2", "3"]
    assert all(line.count("|") == 6 for line in lines[:4])
    assert "medians of 1" in lines[-1]


def test_table_of_the_readme_is_that_of_the_record(modules):
    page = modules[1]
    assert page.table(json.loads(page.RECORD.read_text())) in page.PAGE.read_text()

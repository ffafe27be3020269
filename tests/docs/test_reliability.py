"""The page of what was tried, and its records."""

import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def reliability(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("reliability")


def test_page_shows_the_records(reliability):
    text = reliability.PAGE.read_text()
    assert reliability.fill(text) == text


def test_tests_of_each_fault_exist(reliability):
    for _, _, tests in reliability.FAULTS:
        for name in tests:
            file, _, test = name.partition("::")
            assert re.search(rf"^def {test}\(" if test else "^def test_", (ROOT / file).read_text(), re.MULTILINE), name


def test_a_loss_is_shown(reliability, monkeypatch, tmp_path):
    tally = {"kills": {"operation": 2, "time": 1}, "kills_in_all": 3, "trials": 2, "lost": ["metrics.csv differs"]}
    whole = {"machine": "a CPU", "date": "a day", "commits": {"a": 2, "b": 1}, "kills": 3, "lost": 1}
    (tmp_path / "kills.json").write_text(json.dumps({**whole, "commands": {"train": tally}}))
    monkeypatch.setattr(reliability, "RECORDS", tmp_path)
    assert "| train | 3: 2, 0, 1 | 2 | 1 |" in reliability.kills()
    assert "3 kills in all, 1 lost. a CPU, a day, commits a (2), b (1)." in reliability.kills()


def test_page_of_large_data_shows_its_record(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    page = importlib.import_module("large_data")
    text = page.PAGE.read_text()
    assert page.fill(text) == text

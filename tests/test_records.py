"""The page of records: its tables are made of the sources' numbers and of this package's run folders."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

from capsnet.models import MODELS

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def records(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    return importlib.import_module("records")


def test_page_is_the_one_that_is_made(records):
    assert records.fill(records.PAGE.read_text()) == records.PAGE.read_text()


def test_both_classes_and_our_results_have_a_table(records):
    assert re.findall(r"<!-- records: (\w+),", records.PAGE.read_text()) == ["scratch", "pretrained", "ours"]


def test_network_and_decoder_stand_apart(records):
    text = records.PAGE.read_text()
    assert text.count("161,824 | 1,411,344") == text.count("161,824") > 0
    assert "1,573,168" not in text


@pytest.mark.parametrize("record", json.loads((DOCS / "records.json").read_text())["records"])
def test_each_record_has_a_source_a_class_and_no_impossible_error(record):
    assert record["class"] in ("scratch", "pretrained")
    assert len(record["source"]) > 20
    assert record["error"] is None or 0 < record["error"] < 100
    assert record["model"] is None or record["model"] in MODELS
    assert record["model"] is None or record["parameters"] is None


def test_records_of_a_data_set_stand_in_order_of_error():
    entries = json.loads((DOCS / "records.json").read_text())["records"]
    for key in {(entry["class"], entry["data"]) for entry in entries}:
        errors = [entry["error"] for entry in entries if (entry["class"], entry["data"]) == key]
        known = [error for error in errors if error is not None]
        assert errors == sorted(known) + [None] * (len(errors) - len(known))

"""The comparison of backbones joins only rows that can be compared."""

import copy

import pytest


@pytest.fixture
def backbones(load):
    return load("benchmarks/backbones.py")


@pytest.fixture
def record(backbones):
    """A record with one row."""
    record = {}
    backbones.open_part(record, "signs", 58.0)["networks"]["cnn"] = [{"seed": 0}]
    return record


def test_rows_of_the_same_budget_and_machine_are_joined(backbones, record):
    before = copy.deepcopy(record)
    assert backbones.open_part(record, "signs", 58.0) is record["signs"]
    # without a budget, that of the rows
    assert backbones.open_part(record, "signs", None) is record["signs"]
    assert record == before
    assert record["signs"]["seconds"] == 58


def test_rows_of_another_budget_are_refused(backbones, record):
    before = copy.deepcopy(record)
    with pytest.raises(SystemExit, match=r"seconds 58\.0, now 120\.0.*give --out another file"):
        backbones.open_part(record, "signs", 120.0)
    assert record == before


@pytest.mark.parametrize("key", ["machine", "torch"])
def test_rows_of_another_machine_or_torch_are_refused(backbones, record, key):
    record["signs"][key] = "another"
    with pytest.raises(SystemExit, match=f"{key} another, now "):
        backbones.open_part(record, "signs", 58.0)


def test_rows_of_an_unknown_machine_are_refused(backbones, record):
    del record["signs"]["machine"]
    with pytest.raises(SystemExit, match="machine unknown, now "):
        backbones.open_part(record, "signs", 58.0)


def test_other_photos_have_a_budget_of_their_own(backbones, record):
    assert backbones.open_part(record, "signs-200", None)["seconds"] == 120
    assert backbones.open_part(record, "cats", 41.0)["seconds"] == 41

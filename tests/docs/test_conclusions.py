import sys
from dataclasses import replace
from pathlib import Path

import pytest

from capsnet.runs.epochs import Epoch

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def describe(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    yield __import__("conclusions").describe
    sys.modules.pop("conclusions", None)


def epochs(losses, accuracy, seconds):
    first = Epoch(1, 1, 0.0, accuracy, None, None, 0.0)
    return [replace(first, number=n, loss=loss, seconds=n * seconds) for n, loss in enumerate(losses, 1)]


STEEP = epochs([0.2, 0.1, 0.05, 0.04, 0.02, *[0.0102] * 45], 0.998, 100.0)
FLAT = epochs([0.1, 0.08, 0.06, 0.05, 0.04, *[0.0100] * 45], 0.999, 150.0)


def test_runs_that_agree_with_each_conclusion(describe):
    one, two, three, four, time = describe(STEEP, FLAT, (0.5, 0.6)).split("\n\n")
    assert "0.2000 and 0.1000" in one
    assert "they differ by 100 % of the lower one" in one
    assert "and differ by 2 %" in one
    assert "factor of 10.0, that of r = 3 by 2.5" in two
    assert "gaps of 0.30 and 0.50 points" in three
    assert all("**Our runs agree**" in line for line in (one, two, three))
    assert four.startswith("4. *The paper leaves open questions")
    assert "100 and 150 s, 1.50 times as long" in time


def test_runs_that_disagree_with_each_conclusion(describe):
    lines = describe(FLAT, STEEP, (0.6, 0.5)).split("\n\n")
    assert "do not agree" not in lines[0]
    assert ["do not agree" in line for line in lines[1:3]] == [True, True]
    apart = epochs([0.1] * 50, 0.999, 1.0)
    assert "do not agree" in describe(apart, FLAT, (0.5, 0.5)).split("\n\n")[0]


def test_a_run_that_is_shorter_than_the_source_s_has_no_verdict_about_the_end(describe):
    one, two, three, _, time = describe(STEEP[:3], FLAT[:3], (0.5, 0.6)).split("\n\n")
    assert "Too early to say" in one
    assert (
        "From epoch 1 to 3 the loss of r = 2 falls by a factor of 4.0, that of r = 3 by 1.7. **Our runs agree**" in two
    )
    assert "Too early to say" in three
    assert "In epoch 3 r = 2" in three
    assert "1.50 times as long" in time
    assert "Too early to say" in describe(STEEP[:1], FLAT[:1], (0.5, 0.6)).split("\n\n")[1]

"""Pages of routings: what is measured in them is what the files beside them say."""

import importlib
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
# a routing without a page gets one when the site is built
WRITTEN = sorted(page.stem for page in (DOCS / "routings").glob("*.md") if page.stem != "README")


@pytest.fixture(scope="module")
def pages():
    sys.path.insert(0, str(DOCS))
    yield importlib.import_module("routing_pages")
    sys.path.remove(str(DOCS))


@pytest.mark.parametrize("name", ["README", *WRITTEN])
def test_page_holds_what_was_measured(pages, name):
    text = (DOCS / "routings" / f"{name}.md").read_text()
    assert pages.fill(name, text) == text


@pytest.mark.parametrize("name", WRITTEN)
def test_page_says_when_what_it_costs_and_how_it_deviates(name):
    text = (DOCS / "routings" / f"{name}.md").read_text()
    assert {"When to use it.", "Cost.", "Deviations."} < set(re.findall(r"^\*\*(.+?)\*\*", text, re.MULTILINE))
    (picture,) = re.findall(r"!\[[^\]]*\]\((.+?)\)", text)
    assert (DOCS / "routings" / picture).stat().st_size < 150_000


def test_routing_without_a_page_gets_one_from_its_documentation(pages, monkeypatch):
    assert "routings/em.md" not in pages.generated()
    monkeypatch.setattr(pages, "PAGES", DOCS)
    text = pages.generated()["routings/em.md"]
    assert text.startswith('# em\n\nEM routing. Hinton, Sabour, Frosst, "Matrix capsules with EM routing"')
    assert "each parent is a Gaussian over the votes" in text
    assert "capsnet.routing.em.EMRouting" in text


def row(layer, times, **more):
    spread = {path: {"median": time, "low": time - 1, "high": time + 1} for path, time in times.items()}
    sizes = {"layer": layer, "batch": 128, "types": 1152, "parents": 10, "parent dim": 16}
    return {"bench": "routings", "case": sizes, "times": spread, "ratio": {}, "votes": 50.0, **more}


def test_table_compares_with_the_control_and_with_the_votes(pages):
    both = row("dense", {"uniform": 20.0, "em, recomputed": 50.0}, megabytes={"uniform": 60.0, "em, recomputed": 125.0})
    found = pages.table(row("dense", {"uniform": 10.0, "em, recomputed": 1030.0}), both)
    assert "1,152 children, 10 parents of 16 numbers, batch 128**: 50 MB of votes" in found
    assert "| [em](em.md), recomputed | 1,030 (1,029 to 1,031) | 50 (49 to 51) | 2.5 | 125 | 2.5 |" in found


MACHINE = {"device": "CPU", "threads": 2, "instructions": "AVX2", "torch": "2.13", "commit": "abc"}


def measured(**memory):
    """Results in which the rows of two layers stand in an order that an interrupted benchmark leaves."""
    times = dict.fromkeys(memory, 20.0)
    rows = [row(layer, times, megabytes=memory) for layer in ("conv", "dense", "dense", "conv")]
    for one, kind in zip(rows, ["forward and backward", "forward", "forward and backward", "forward"], strict=True):
        one["case"] |= {"pass": kind}
    return {"machine": MACHINE, "rows": [{"bench": "step"}, *rows]}


def test_passes_of_a_layer_are_compared_in_any_order(pages):
    one = measured(uniform=60.0)
    assert [[half["case"]["pass"] for half in pair] for pair in pages.pairs(one)] == [
        ["forward", "forward and backward"]
    ] * 2
    assert [pair[1]["case"]["layer"] for pair in pages.pairs(one)] == ["conv", "dense"]
    # the second pass of this layer is not there yet
    assert len(pages.pairs({"machine": MACHINE, "rows": one["rows"][:4]})) == 1


def test_cost_is_from_the_first_results_with_the_routing(pages):
    results = [measured(uniform=60.0), measured(uniform=60.0, heinsen=75.0), measured(uniform=60.0, heinsen=100.0)]
    assert "- class layer, batch 128: 1.0 times the time of `uniform`, 1.5 times the memory" in pages.cost(
        "heinsen", results
    )
    assert pages.cost("heinsen", results[:1]).startswith("Not measured yet")


def test_picture_shows_every_iteration_of_every_digit(pages):
    pictures = importlib.import_module("routing_pictures")
    maps = [[[float(place) for place in range(10)]] * 10] * 2
    digit = {"label": 7, "classes": [7, 9], "activations": [[0.9, 0.2]] * 3, "feeds": [maps] * 3}
    digit |= {"pixels": [[0] * 28] * 14 + [[255] * 28] * 14, "activity": maps[0]}
    record = {"routing": "dynamic", "grid": [10, 10, 2.0, 4.5, 9], "digits": [digit] * 3}
    # for each digit: itself, and two classes in each iteration; the scale
    assert len(pictures.draw_page(record).axes) == 3 * (1 + 3 * 2) + 1
    assert len(pictures.draw_overview({"dynamic": record, "em": record}).axes) == 2 * 4 + 1


def test_coupling_is_a_tenth_where_every_class_gets_the_same(pages):
    pictures = importlib.import_module("routing_pictures")
    activity = [[0.5, 2.0]]
    digit = {"activity": activity, "feeds": [[activity, [[1.0, 0.0]]]]}
    assert pictures.coupling(digit, 0).tolist() == [[pytest.approx([0.1, 0.1])], [pytest.approx([0.2, 0.0])]]


def test_pages_are_whole_before_anything_is_measured(pages):
    assert pages.cost("dynamic", []) == ""
    assert "capsnet bench routings --out" in pages.tables([])

"""A table says what its run folders say."""

import json
from math import sqrt

import pytest
from scipy.stats import t as student
from scipy.stats import ttest_rel

from capsnet.inference.evaluate import wilson_interval
from capsnet.studies.markdown import comparison_cells, to_markdown, untested
from capsnet.studies.table import _interval, _machine

PAPER = {"error": 0.25, "std": None, "n": None}


def results(folder, row):
    paths = sorted((folder / "runs").glob(f"{row}-seed*/evaluation.json"))
    return [json.loads(path.read_text()) for path in paths]


@pytest.mark.parametrize("place", [0, 1])
def test_numbers_are_those_by_hand_from_the_runs(done, place):
    folder, table = done
    row = table["rows"][place]
    one, two = results(folder, row["name"])
    errors = [100 * (1 - result["test"]["accuracy"]) for result in (one, two)]
    assert row["errors"] == pytest.approx(errors)
    assert row["mean"] == pytest.approx(sum(errors) / 2)
    assert row["std"] == pytest.approx(abs(errors[0] - errors[1]) / sqrt(2), abs=1e-6)
    wrong = sum(359 - sum(line[k] for k, line in enumerate(result["test"]["confusion"])) for result in (one, two))
    assert (row["wrong"], row["images"]) == (wrong, 718)
    assert row["interval"] == pytest.approx(wilson_interval(wrong / 718, 359), abs=1e-4)
    assert row["last_mean"] == pytest.approx(sum(100 * (1 - r["test_last"]["accuracy"]) for r in (one, two)) / 2)
    assert row["seconds"] == pytest.approx((one["seconds"] + two["seconds"]) / 2, abs=0.06)


def test_comparison_blocks_by_seed(done):
    _, table = done
    (entry,) = table["comparisons"]
    r1, plain = table["rows"]
    assert r1["seeds"] == plain["seeds"] == [0, 1]
    assert entry["difference"] == pytest.approx(plain["mean"] - r1["mean"])
    # the two-way table of two rows is a paired t test
    assert entry["p"] == pytest.approx(ttest_rel(plain["errors"], r1["errors"]).pvalue, rel=1e-3)
    assert entry["differs"] == (entry["p"] < 0.01)
    one, two = (other - own for own, other in zip(r1["errors"], plain["errors"], strict=True))
    # the standard error of the mean of two differences is half of what they differ by
    assert entry["least"] == pytest.approx(student.ppf(1 - 0.01 / 2, df=1) * abs(one - two) / 2, abs=1e-4)


def test_row_without_reconstruction_has_fewer_parameters(done):
    r1, plain = done[1]["rows"]
    assert r1["parameters"] > plain["parameters"]


def test_markdown_holds_all_that_a_number_needs(done):
    folder, table = done
    text = (folder / "table.md").read_text()
    assert text == to_markdown(table)
    assert json.loads((folder / "table.json").read_text()) == table
    assert text.startswith("# two-rows, quick budget\n\nTwo epochs of 96 digits.")
    assert "| one iteration | 0.29 ± 0.011 % |" in text
    assert f"{table['rows'][0]['parameters']:,}" in text
    assert "last step" in text
    assert "two-way analysis" in text
    assert f"difference of at least {table['comparisons'][0]['least']:.2f} points would be significant" in text
    assert f"({table['rows'][0]['errors'][0]:.2f}, {table['rows'][0]['errors'][1]:.2f})" in text
    assert "    capsnet reproduce two-rows --budget quick\n" in text


def test_p_is_corrected_where_there_are_several_comparisons(done):
    assert "Holm" not in to_markdown(done[1])
    assert len(done[1]["comparisons"]) == 1
    several = to_markdown({**done[1], "comparisons": 2 * done[1]["comparisons"]})
    assert "p is corrected for the 2 comparisons by Holm's method; a difference is significant if p < 0.01" in several


def test_one_seed_is_said_to_show_nothing(done):
    rows = [{**row, "n": 1, "seeds": [0], "errors": row["errors"][:1], "std": None} for row in done[1]["rows"]]
    text = to_markdown(
        {**done[1], "rows": rows, "comparisons": [{**done[1]["comparisons"][0], "p": None, "least": None}]}
    )
    assert "cannot be told from differences between seeds" in text
    assert "cannot be tested" in text


def test_reason_why_nothing_is_tested_is_the_true_one(done):
    one, two = done[1]["rows"]
    assert untested([{**one, "seeds": [0]}, {**two, "seeds": [0]}]).startswith("With one seed for each row")
    assert untested([one, {**two, "seeds": [1]}]).startswith("The rows share fewer than two seeds")
    assert untested([one, two]).startswith("Every seed gives the same differences")


def test_one_thread_is_in_the_singular():
    environment = {"device": "cpu", "processor": "EPYC", "threads": 1, "precision": "fp32"}
    assert _machine(environment) == "EPYC, 1 thread, fp32"
    assert _machine({**environment, "threads": 2}) == "EPYC, 2 threads, fp32"


def test_table_without_reported_numbers_has_no_column_for_them(done):
    _, table = done
    assert "| reported, test error |" in to_markdown(
        {**table, "rows": [{**row, "paper": PAPER} for row in table["rows"]]}
    )
    text = to_markdown(
        {**table, "rows": [{**row, "paper": None} for row in table["rows"]], "source": "no paper: a trial"}
    )
    assert "reported," not in text
    assert "No source reports numbers for these rows: a trial." in text


def test_a_difference_that_rounds_to_zero_has_no_minus_sign():
    entry = {
        "row": "a",
        "other": "b",
        "difference": -0.001,
        "seeds": [0, 1],
        "pooled": True,
        "p": 0.9,
        "least": 0.5,
        "differs": False,
    }
    cells = comparison_cells(entry, {"a": "A", "b": "B"})
    assert cells == ["A against B", "+0.00 points", "0.9", "no significant difference"]


def test_missing_runs_are_counted_in_the_table(done):
    one, two = done[1]["rows"]
    text = to_markdown({**done[1], "rows": [{**one, "planned": 5}, two]})
    assert "| 2 of 5 |" in text
    assert "| 2 |" in text


def test_training_times_that_differ_are_a_range(done):
    one, two = done[1]["rows"]
    rows = [
        {**one, "run_seconds": [44.0, 130.2], "seconds": 87.1},
        {**two, "run_seconds": [40.0, 50.0], "seconds": 45.0},
    ]
    text = to_markdown({**done[1], "rows": rows})
    assert "| 44 to 130 s |" in text
    assert "| 45 s |" in text


def test_test_of_unequal_variances_is_described(done):
    [entry] = done[1]["comparisons"]
    pairs = [{**entry, "pooled": False, "least": least} for least in (0.52, 2.61)]
    text = to_markdown({**done[1], "comparisons": pairs})
    assert "each pair is tested alone, by a paired t test" in text
    assert "Every difference of at least 0.52 to 2.61 points, depending on the pair, would be significant" in text


def test_differences_are_over_the_seeds_of_both_rows(done):
    one, two = done[1]["rows"]
    assert "seeds that both rows have" not in to_markdown(done[1])
    text = to_markdown({**done[1], "rows": [{**one, "seeds": [0, 1, 2]}, two]})
    assert "A difference is over the seeds that both rows have. A difference is significant" in text


def test_least_difference_holds_for_the_pair_with_the_fewest_seeds(done):
    [entry] = done[1]["comparisons"]
    text = to_markdown({**done[1], "comparisons": [{**entry, "least": least} for least in (0.52, 0.67)]})
    assert "Every difference of at least 0.67 points would be significant" in text


def test_variants_of_one_image_do_not_narrow_the_interval():
    test = {"n": 32_000, "accuracy": 0.79, "originals": 1_000}
    assert _interval(6_720, [test]) == [round(end, 6) for end in wilson_interval(0.21, 1_000)]
    assert _interval(6_720, [{"n": 32_000, "accuracy": 0.79}])[1] < _interval(6_720, [test])[1]
    assert _interval(0, []) is None

from math import sqrt

import pytest
from scipy.special import stdtr
from scipy.stats import bartlett, binomtest, ttest_rel

from capsnet.inference.evaluate import wilson_interval
from capsnet.studies.comparisons import compare_rows
from capsnet.studies.statistics import correct_by_holm, equal_variance_p, format_p, mcnemar, mean_and_std, pool_scatter

# the two-way table of two rows and three seeds is a paired t test: differences -3, -2, -4
PAIRED = {"a": {0: 1.0, 1: 2.0, 2: 3.0}, "b": {0: 4.0, 1: 4.0, 2: 7.0}}


def test_two_rows_are_a_paired_t_test():
    scatter = pool_scatter(PAIRED)
    assert scatter.freedom == 2
    assert scatter.standard_error == pytest.approx(1.0 / sqrt(3))
    assert scatter.p_value(-3.0) == pytest.approx(2 * stdtr(2, -3 * sqrt(3)))


def test_what_seeds_share_is_no_scatter():
    shifted = {name: {seed: error + 10 * seed for seed, error in row.items()} for name, row in PAIRED.items()}
    assert pool_scatter(shifted).standard_error == pytest.approx(pool_scatter(PAIRED).standard_error)


def test_residuals_are_pooled_over_all_rows():
    # deviations ±0.5 in the third row only: Σ² = 2 · (1/3)² · 1 + 4 · (1/6)² · 1 = 1/3 over 2 degrees of freedom
    rows = {"a": {0: 1.0, 1: 1.0}, "b": {0: 2.0, 1: 2.0}, "c": {0: 2.5, 1: 3.5}}
    scatter = pool_scatter(rows)
    assert scatter.freedom == 2
    assert scatter.standard_error == pytest.approx(sqrt(1 / 3 / 2))


def test_only_seeds_that_all_rows_share_are_used():
    assert pool_scatter({"a": {0: 1.0, 1: 2.0, 2: 9.0}, "b": {0: 2.0, 1: 2.5}}).seeds == (0, 1)


def rows_of(*errors):
    return {name: dict(enumerate(row)) for name, row in zip("abcdef", errors, strict=False)}


# the third row varies a hundred times as much as the others
UNEQUAL = rows_of(
    (3.0, 3.1, 3.2, 3.0, 3.1), (3.31, 3.39, 3.50, 3.31, 3.40), (9.0, 5.0, 8.0, 4.0, 7.0), (3.1, 3.21, 3.3, 3.1, 3.2)
)


def test_equality_of_variances_is_bartletts_test():
    samples = [1.0, 2.0, 4.0], [0.1, 0.5, 0.2, 0.4], [7.0, 9.0, 5.0, 7.5, 6.0]
    assert equal_variance_p(samples) == pytest.approx(bartlett(*samples).pvalue)
    # too few values for a variance of their own
    assert equal_variance_p([*samples, [1.0, 900.0]]) == equal_variance_p(samples)


def test_equality_of_variances_needs_two_samples_that_vary():
    assert equal_variance_p([[1.0, 2.0, 4.0]]) is None
    assert equal_variance_p([[1.0, 2.0], [3.0, 9.0]]) is None
    assert equal_variance_p([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]) is None
    assert equal_variance_p([[1.0, 1.0, 1.0], [2.0, 3.0, 2.0]]) == 0.0


def test_each_pair_is_tested_alone_when_the_variances_of_the_pairs_differ():
    pairs = [("b", "a"), ("c", "a"), ("d", "a")]
    entries = compare_rows(UNEQUAL, pairs)
    alone = [ttest_rel([*UNEQUAL[row].values()], [*UNEQUAL[other].values()]).pvalue for row, other in pairs]
    assert [entry["p"] for entry in entries] == pytest.approx(correct_by_holm(alone), rel=1e-3)
    assert [entry["pooled"] for entry in entries] == [False] * 3
    # the row that varies no longer hides the small difference, nor is it significant itself
    assert [entry["differs"] for entry in entries] == [True, False, True]
    assert entries[0]["least"] < 0.2 < 5 < entries[1]["least"]


@pytest.mark.parametrize("rows", [UNEQUAL, {name: UNEQUAL[name] for name in "abd"}])
def test_a_missing_seed_of_one_row_leaves_the_other_pairs_their_seeds(rows):
    fewer = {**rows, "d": {seed: rows["d"][seed] for seed in (0, 1, 3)}}
    entries = compare_rows(fewer, [("b", "a"), ("d", "a")])
    assert [entry["seeds"] for entry in entries] == [[0, 1, 2, 3, 4], [0, 1, 3]]
    assert entries[0]["difference"] == pytest.approx(0.302)
    assert entries[1]["difference"] == pytest.approx(0.1 + 0.01 / 3, abs=1e-5)
    assert [entry["pooled"] for entry in entries] == [True] * 2
    # the error of a mean of three seeds is larger
    assert entries[1]["least"] / entries[0]["least"] == pytest.approx(sqrt(5 / 3), rel=1e-3)


def test_a_pair_with_a_missing_seed_that_is_tested_alone_has_the_scatter_of_its_own_seeds():
    fewer = {**UNEQUAL, "c": {seed: UNEQUAL["c"][seed] for seed in (0, 1, 3)}}
    entries = compare_rows(fewer, [("b", "a"), ("c", "a")])
    assert [entry["seeds"] for entry in entries] == [[0, 1, 2, 3, 4], [0, 1, 3]]
    assert [entry["pooled"] for entry in entries] == [False] * 2
    alone = [
        ttest_rel(*([fewer[row][seed] for seed in entry["seeds"]] for row in (entry["row"], entry["other"]))).pvalue
        for entry in entries
    ]
    assert [entry["p"] for entry in entries] == pytest.approx(correct_by_holm(alone), rel=1e-3)


def test_residual_variance_is_pooled_when_the_differences_vary_alike():
    rows = rows_of((1.0, 2.0, 4.0), (1.5, 2.0, 3.9), (2.0, 3.1, 4.9))
    scatter = pool_scatter(rows)
    entries = compare_rows(rows, [("b", "a"), ("c", "a")])
    assert all(entry["pooled"] for entry in entries)
    p_values = correct_by_holm([scatter.p_value(entry["difference"]) for entry in entries])
    assert [entry["p"] for entry in entries] == pytest.approx(p_values, rel=1e-3)
    assert not any(entry["pooled"] for entry in compare_rows(UNEQUAL, [("b", "a"), ("c", "a")]))


@pytest.mark.parametrize(
    "errors",
    [
        {},
        {"a": {0: 1.0, 1: 2.0}},
        {"a": {0: 1.0}, "b": {0: 2.0}},
        {"a": {0: 1.0, 1: 2.0}, "b": {0: 2.0, 1: 3.0}},
        {"a": {0: 1.0, 1: 2.0}, "b": {1: 3.0, 2: 2.0}},
    ],
)
def test_nothing_is_tested_without_rows_seeds_or_scatter(errors):
    assert pool_scatter(errors) is None


def test_least_difference_has_exactly_the_level_of_significance():
    scatter = pool_scatter(PAIRED)
    assert scatter.p_value(scatter.least_difference(1)) == pytest.approx(0.01)
    assert scatter.p_value(scatter.least_difference(4)) == pytest.approx(0.0025)


def test_holm_by_hand():
    assert correct_by_holm([0.03, 0.01, 0.04]) == pytest.approx([0.06, 0.03, 0.06])
    assert correct_by_holm([0.9, 0.8]) == [1.0, 1.0]


def test_mean_and_std():
    assert mean_and_std([1.0, 3.0]) == (2.0, pytest.approx(2**0.5))
    assert mean_and_std([4.0]) == (4.0, None)


def test_wilson_by_hand():
    # 10 of 100: the interval of Wilson's paper is 5.5 to 17.4 %
    assert wilson_interval(0.1, 100) == (pytest.approx(5.523, abs=1e-3), pytest.approx(17.437, abs=1e-3))


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [
        # 2 / 2^5, 2 (1 + 6) / 2^6, 2 (1 + 10 + 45) / 2^10, and a tie
        (5, 0, 0.0625),
        (1, 5, 0.21875),
        (2, 8, 0.109375),
        (3, 3, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemar_by_hand(only_first, only_second, p):
    assert mcnemar(only_first, only_second) == pytest.approx(p)
    assert mcnemar(only_second, only_first) == pytest.approx(p)


@pytest.mark.parametrize(("only_first", "only_second"), [(1, 15), (40, 61), (1000, 1100)])
def test_mcnemar_is_the_binomial_test(only_first, only_second):
    assert mcnemar(only_first, only_second) == pytest.approx(binomtest(only_first, only_first + only_second).pvalue)


def test_mcnemar_refuses_a_negative_number():
    with pytest.raises(ValueError, match="got -1 and 3"):
        mcnemar(-1, 3)


def test_p_value_is_never_rounded_to_the_limit_of_significance():
    assert [format_p(p) for p in (0.0714, 0.01012, 0.00999, 3e-5)] == ["0.071", "0.0101", "0.00999", "3e-05"]

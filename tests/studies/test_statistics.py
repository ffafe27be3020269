import pytest

from capsnet.inference.evaluate import wilson_interval
from capsnet.studies.statistics import mean_and_std, student_tail, welch_test


@pytest.mark.parametrize(
    ("t", "freedom", "p"),
    [
        (12.7062, 1.0, 0.05),
        (9.9248, 2.0, 0.01),
        (4.6041, 4.0, 0.01),
        (2.7764, 4.0, 0.05),
        (1.98397, 100.0, 0.05),
        (1.9608, 3000.0, 0.05),
        (0.0, 3.3, 1.0),
    ],
)
def test_tail_of_students_t_is_that_of_the_tables(t, freedom, p):
    assert student_tail(t, freedom) == pytest.approx(p, rel=1e-3)
    assert student_tail(-t, freedom) == student_tail(t, freedom)


def test_tail_for_one_degree_of_freedom_is_cauchys():
    # beyond ±1 lies half of it
    assert student_tail(1.0, 1.0) == pytest.approx(0.5, rel=1e-9)


def test_welch_by_hand():
    # means 2 and 5, variances 1 and 1, n 3: t = -3 / sqrt(2/3), 4 degrees of freedom
    assert welch_test([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]) == pytest.approx(student_tail(3 / (2 / 3) ** 0.5, 4.0))
    assert welch_test([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == pytest.approx(1.0)


@pytest.mark.parametrize(("first", "second"), [([1.0], [2.0, 3.0]), ([1.0, 1.0], [2.0, 2.0])])
def test_nothing_is_tested_without_scatter(first, second):
    assert welch_test(first, second) is None


def test_mean_and_std():
    assert mean_and_std([1.0, 3.0]) == (2.0, pytest.approx(2**0.5))
    assert mean_and_std([4.0]) == (4.0, None)


def test_wilson_by_hand():
    # 10 of 100: the interval of Wilson's paper is 5.5 to 17.4 %
    assert wilson_interval(0.1, 100) == (pytest.approx(5.523, abs=1e-3), pytest.approx(17.437, abs=1e-3))

"""Significance tests: whether rows of a study differ, with seeds as blocks, since all rows share the seeds.

Fisher, "The Design of Experiments", 1935 (randomised blocks). Holm, "A simple sequentially rejective multiple test
procedure", Scandinavian Journal of Statistics 1979. Bartlett, "Properties of sufficiency and statistical tests",
Proceedings of the Royal Society A 1937. McNemar, "Note on the sampling error of the difference between correlated
proportions or percentages", Psychometrika 1947, in its exact form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from scipy.special import bdtr, chdtrc, stdtr, stdtrit

SIGNIFICANT = 0.01
UNEQUAL = 0.05
"""The residual variance is not pooled over the rows if Bartlett's test has a smaller p."""

Errors = Mapping[str, Mapping[int, float]]
"""Test error in percent of each row, by seed."""

_ROUNDING = 1e-18


def mean_and_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and standard deviation with n - 1; None for one value."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


@dataclass(frozen=True)
class Scatter:
    """The residual variation of a difference of two rows' means.

    Args:
        standard_error: standard error of a difference of two means.
        freedom: degrees of freedom of its estimate.
        seeds: the seeds of both means.
    """

    standard_error: float
    freedom: int
    seeds: tuple[int, ...]

    def of_seeds(self, seeds: Sequence[int]) -> "Scatter":
        """The variation of two means over other seeds, with the same residual variance."""
        return Scatter(self.standard_error * sqrt(len(self.seeds) / len(seeds)), self.freedom, tuple(seeds))

    def p_value(self, difference: float) -> float:
        """The two-sided p value of a difference, before any correction."""
        return float(2 * stdtr(self.freedom, -abs(difference) / self.standard_error))

    def least_difference(self, comparisons: int) -> float:
        """The smallest difference that is significant at `SIGNIFICANT` among this many comparisons."""
        quantile = stdtrit(self.freedom, 1 - SIGNIFICANT / (2 * comparisons))
        return float(quantile * self.standard_error)


def pool_scatter(errors: Errors) -> Scatter | None:
    """Estimate the residual variation from all rows of a study (randomised block design).

    A seed is a block: it gives every row the same training images, order and shifts. The residual of an error after
    subtracting row mean and seed mean is assumed to have the same variance in every row:
    s² = Σ (e_rs - e_r. - e_.s + e_..)² / ((R - 1)(S - 1)), and a difference of two means has the variance 2 s² / S.

    Args:
        errors: errors of the rows that have runs; only seeds that all of them share are used.

    Returns:
        The variation, or None with fewer than two rows or two shared seeds, or if all residuals are zero.
    """
    shared = sorted(set.intersection(*(set(row) for row in errors.values()))) if errors else []
    if len(errors) < 2 or len(shared) < 2:
        return None
    table = np.array([[row[seed] for seed in shared] for row in errors.values()])
    residuals = table - table.mean(1, keepdims=True) - table.mean(0, keepdims=True) + table.mean()
    freedom = (len(errors) - 1) * (len(shared) - 1)
    variance = float((residuals**2).sum()) / freedom
    # rounding errors of residuals that are zero
    if variance < _ROUNDING:
        return None
    return Scatter(sqrt(2 * variance / len(shared)), freedom, tuple(shared))


def equal_variance_p(samples: Sequence[Sequence[float]]) -> float | None:
    """Test by Bartlett's test whether samples come from distributions of the same variance.

    `pool_scatter` assumes it of the differences between rows: rows that learn alike differ less from each other.

    Args:
        samples: for each pair of rows, their differences by seed; samples of fewer than three are left out.

    Returns:
        The p value; 0 if some samples only have no variance. None with fewer than two samples.
    """
    sizes = np.array([len(sample) - 1 for sample in samples if len(sample) > 2])
    variances = np.array([np.var(sample, ddof=1) for sample in samples if len(sample) > 2])
    if len(sizes) < 2:
        return None
    if (variances < _ROUNDING).any():
        return 0.0 if (variances >= _ROUNDING).any() else None
    pooled = float((sizes * variances).sum() / sizes.sum())
    statistic = sizes.sum() * log(pooled) - float((sizes * np.log(variances)).sum())
    correction = 1 + ((1 / sizes).sum() - 1 / sizes.sum()) / (3 * (len(sizes) - 1))
    return float(chdtrc(len(sizes) - 1, statistic / correction))


def correct_by_holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for multiple comparisons by Holm's step-down method; the order is kept."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test of two models on the same images.

    Only images that exactly one model classifies correctly count. If both models are equally good, the correct one is
    the first with probability 1/2: p = min(1, 2 P(X <= min(b, c))), X binomial (b + c, 1/2).

    Args:
        only_first: b, images that only the first model classifies correctly.
        only_second: c, images that only the second model classifies correctly.

    Returns:
        The two-sided p value; 1 if the models never differ.

    Raises:
        ValueError: a negative number.
    """
    if min(only_first, only_second) < 0:
        raise ValueError(f"numbers of images must be 0 or above, got {only_first} and {only_second}")
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def format_p(p: float) -> str:
    """A p value with two digits, or three where two would round it to the limit of significance.

    Example:
        >>> format_p(0.0714), format_p(0.01012)
        ('0.071', '0.0101')
    """
    text = f"{p:.2g}"
    return f"{p:.3g}" if float(text) == SIGNIFICANT else text

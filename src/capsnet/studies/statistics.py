"""Whether two means differ, from a few runs each."""

from collections.abc import Sequence
from math import atan, exp, lgamma, pi, sqrt

import numpy as np

SIGNIFICANT = 0.01


def mean_and_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and standard deviation with n - 1; None for one value."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def welch_test(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Two-sided p that two samples come from distributions of one mean.

    Welch, "The generalization of Student's problem when several different population variances are involved",
    Biometrika 1947. It assumes that errors scatter normally over seeds.

    Returns:
        p, or None where a sample has one value or neither scatters: then nothing can be tested.
    """
    (mean, std), (other_mean, other_std) = mean_and_std(first), mean_and_std(second)
    if std is None or other_std is None or std == other_std == 0:
        return None
    a, b = std**2 / len(first), other_std**2 / len(second)
    freedom = (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))
    return student_tail((mean - other_mean) / sqrt(a + b), freedom)


def student_tail(t: float, freedom: float) -> float:
    r"""Probability that Student's t with so many degrees of freedom lies beyond ±t.

    With x = √ν tan θ the density becomes a power of the cosine: p = 2 c ∫ cos^{ν-1} θ dθ from atan(|t|/√ν) to π/2,
    c = Γ((ν+1)/2) / (√π Γ(ν/2)); with θ = π/2 - u² the integrand has no kink at the end where the cosine is zero.
    """
    nodes, weights = np.polynomial.legendre.leggauss(400)
    end = sqrt(pi / 2 - atan(abs(t) / sqrt(freedom)))
    u = end * (nodes + 1) / 2
    area = float(np.sum(weights * np.sin(u**2) ** (freedom - 1) * 2 * u)) * end / 2
    return min(2 * exp(lgamma((freedom + 1) / 2) - lgamma(freedom / 2)) / sqrt(pi) * area, 1.0)

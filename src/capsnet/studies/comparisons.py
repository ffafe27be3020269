"""Comparisons of a table's rows: differences of mean errors, tested with seeds as blocks."""

from collections.abc import Sequence
from typing import TypedDict

from capsnet.studies.statistics import (
    SIGNIFICANT,
    UNEQUAL,
    Errors,
    correct_by_holm,
    equal_variance_p,
    pool_scatter,
)


class ComparisonEntry(TypedDict):
    """Two rows, with the difference of their mean errors in percentage points, over `seeds`, which both have.

    `p` is corrected for the number of comparisons by Holm's method. Each difference of at least `least` is significant.
    Both are None if the pair cannot be tested. `pooled`: whether the residual variance is that of all rows; else it is
    that of the pair alone.
    """

    row: str
    other: str
    difference: float
    seeds: list[int]
    pooled: bool
    p: float | None
    least: float | None
    differs: bool


def compare_rows(errors: Errors, pairs: Sequence[tuple[str, str]]) -> list[ComparisonEntry]:
    """Compare pairs of rows, with p corrected for the number of pairs.

    A difference is over the seeds that both rows have. The residual variance is that of all rows, unless Bartlett's
    test finds that the differences of some pairs vary more than those of others (p < 0.05): then each pair is tested by
    its own differences, which is a paired t test.

    Args:
        errors: errors in percent of every row that has runs.
        pairs: pairs of row names, both in `errors`.
    """
    shared = [sorted(errors[name].keys() & errors[other].keys()) for name, other in pairs]
    equal = equal_variance_p(
        [
            [errors[name][seed] - errors[other][seed] for seed in seeds]
            for (name, other), seeds in zip(pairs, shared, strict=True)
        ]
    )
    pooled = equal is None or equal >= UNEQUAL
    everywhere = pool_scatter(errors)
    entries: list[ComparisonEntry] = []
    p_values: list[float] = []
    for (name, other), seeds in zip(pairs, shared, strict=True):
        scatter = everywhere if pooled else pool_scatter({name: errors[name], other: errors[other]})
        if scatter is not None:
            scatter = scatter.of_seeds(seeds)
        means = [sum(errors[row][seed] for seed in seeds) / max(len(seeds), 1) for row in (name, other)]
        difference = round(means[0] - means[1], 6)
        if scatter is not None:
            p_values.append(scatter.p_value(difference))
        entries.append(
            {
                "row": name,
                "other": other,
                "difference": difference,
                "seeds": seeds,
                "pooled": pooled,
                "p": None if scatter is None else p_values[-1],
                "least": None if scatter is None else round(scatter.least_difference(len(pairs)), 4),
                "differs": False,
            }
        )
    corrected = iter(correct_by_holm(p_values))
    for entry in entries:
        if entry["p"] is not None:
            p = next(corrected)
            entry["p"], entry["differs"] = float(f"{p:.4g}"), p < SIGNIFICANT
    return entries

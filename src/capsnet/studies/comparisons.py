"""Comparisons of a table's rows: differences of mean errors, tested with seeds as blocks."""

from collections.abc import Sequence
from typing import TypedDict

from capsnet.studies.statistics import SIGNIFICANT, Errors, correct_by_holm, pool_scatter


class ComparisonEntry(TypedDict):
    """Two rows, with the difference of their mean errors in percentage points, over the seeds that all rows share.

    `p` is corrected for the number of comparisons by Holm's method. Each difference of at least `least` is significant.
    Both are None if nothing can be tested.
    """

    row: str
    other: str
    difference: float
    p: float | None
    least: float | None
    differs: bool


def compare_rows(errors: Errors, pairs: Sequence[tuple[str, str]]) -> list[ComparisonEntry]:
    """Compare pairs of rows over the seeds that all rows share, with p corrected for the number of pairs.

    Args:
        errors: errors in percent of every row that has runs.
        pairs: pairs of row names, both in `errors`.
    """
    scatter = pool_scatter(errors)
    differences = []
    for name, other in pairs:
        row, reference = errors[name], errors[other]
        shared = scatter.seeds if scatter else sorted(row.keys() & reference.keys())
        means = [sum(part[seed] for seed in shared) / len(shared) for part in (row, reference)] if shared else [0.0] * 2
        differences.append(round(means[0] - means[1], 6))
    p_values = correct_by_holm([scatter.p_value(difference) for difference in differences]) if scatter else []
    least = scatter.least_difference(len(pairs)) if scatter and pairs else None
    return [
        {
            "row": name,
            "other": other,
            "difference": difference,
            "p": float(f"{p_values[k]:.4g}") if p_values else None,
            "least": None if least is None else round(least, 4),
            "differs": bool(p_values) and p_values[k] < SIGNIFICANT,
        }
        for k, ((name, other), difference) in enumerate(zip(pairs, differences, strict=True))
    ]

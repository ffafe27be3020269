"""Statistics that several analyses share: intervals of a share, and how well a score separates two groups."""

from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.inference.evaluate import wilson_interval


class Share(TypedDict):
    """A share of images, with Wilson's 95 % interval."""

    count: int
    n: int
    share: float
    low: float
    high: float


class Histogram(TypedDict):
    """Counts between neighbouring edges."""

    edges: list[float]
    counts: list[int]


def wilson(count: int, n: int) -> Share:
    """The share `count / n` of images and its interval.

    Args:
        count: images that have the property.
        n: number of images, at least one.
    """
    share = count / n
    low, high = (end / 100 for end in wilson_interval(share, n))
    return {"count": count, "n": n, "share": share, "low": min(low, share), "high": max(high, share)}


def auroc(positives: Float[Tensor, " p"], negatives: Float[Tensor, " q"]) -> float:
    """The chance that a positive scores higher than a negative, ties counting half (area under the ROC curve).

    Args:
        positives: scores of the group that should score high; at least one.
        negatives: scores of the other group; at least one.

    Example:
        >>> auroc(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0]))
        1.0
    """
    ordered = negatives.double().sort().values
    scores = positives.double().contiguous()
    below = torch.searchsorted(ordered, scores)
    not_above = torch.searchsorted(ordered, scores, right=True)
    return float((below + not_above).double().mean() / (2 * len(negatives)))


def histogram(values: Float[Tensor, " m"], edges: Float[Tensor, " e"]) -> Histogram:
    """Count values between edges; those outside are counted in the first and the last bin."""
    bins = torch.searchsorted(edges[1:-1].contiguous(), values.to(edges.dtype).contiguous(), right=True)
    counts = torch.bincount(bins, minlength=len(edges) - 1)
    return {"edges": rounded(edges), "counts": counts.tolist()}


def rounded(values: Float[Tensor, " m"], digits: int = 6) -> list[float]:
    """Round values to `digits` significant digits, for JSON."""
    return [float(f"{value:.{digits}g}") for value in values.tolist()]

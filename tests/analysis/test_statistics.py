import pytest
import torch

from capsnet.analysis.statistics import auroc, histogram, rounded, wilson


def test_separable_scores_have_auroc_1_and_equal_ones_a_half():
    assert auroc(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0])) == 1
    assert auroc(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 3.0])) == 0
    assert auroc(torch.ones(5), torch.ones(3)) == 0.5


def test_auroc_counts_pairs():
    positives, negatives = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0.0, 2.0, 3.0])
    # 1 beats 0; 2 beats 0 and ties 2; 4 beats all: 5.5 of 9 pairs
    assert auroc(positives, negatives) == pytest.approx(5.5 / 9)


def test_wilson_of_the_published_example():
    # no event in 10 trials: the upper end is z2 / (n + z2)
    share = wilson(0, 10)
    assert (share["low"], share["share"]) == (0, 0)
    assert share["high"] == pytest.approx(3.8415 / 13.8415, abs=1e-4)
    assert wilson(10, 10)["low"] == pytest.approx(1 - share["high"])


def test_histogram_counts_every_value_once():
    counts = histogram(torch.tensor([-1.0, 0.0, 0.24, 0.5, 1.0, 7.0]), torch.tensor([0.0, 0.25, 0.5, 1.0]))
    assert counts == {"edges": [0, 0.25, 0.5, 1], "counts": [3, 0, 3]}


def test_rounded_keeps_significant_digits():
    assert rounded(torch.tensor([1234567.0, 1.234567e-5], dtype=torch.float64), 3) == [1.23e6, 1.23e-5]

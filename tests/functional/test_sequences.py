import pytest
import torch

from capsnet.errors import UserError
from capsnet.functional import check_sequences, mask_steps


def test_steps_before_the_length_are_marked():
    assert mask_steps(torch.tensor([3, 0, 1]), 3).tolist() == [[True] * 3, [False] * 3, [True, False, False]]


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (torch.tensor([3, 5]), r"lengths must be from 2 to 4, got \[3, 5\]"),
        (torch.tensor([1, 4]), r"lengths must be from 2 to 4, got \[1, 4\]"),
        (torch.tensor([2.0, 4.0]), "one whole number for each sequence"),
        (torch.ones(2, 4, dtype=torch.bool), r"from a mask b t they are mask.sum\(dim=1\)"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(lengths, message):
    with pytest.raises(UserError, match=message):
        mask_steps(lengths, 4, shortest=2)


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        (torch.rand(2, 4, 9), r"b x 3 channels x steps, got \(2, 4, 9\)"),
        (torch.rand(3, 9), "b x 3 channels x steps"),
        (torch.ones(2, 3, 9, dtype=torch.int64), "use sequences.float"),
        (torch.rand(1, 3, 9), "lengths must be 1 numbers, one for each sequence, got 2"),
    ],
)
def test_sequences_that_do_not_fit_are_refused(sequences, message):
    with pytest.raises(UserError, match=message):
        check_sequences(sequences, 3, torch.tensor([9, 9]))

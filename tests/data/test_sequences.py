import pytest
import torch

from capsnet.data.sequences import SequenceData, pad_sequences
from capsnet.errors import UserError


@pytest.fixture
def data():
    """Sequence k has k + 1 steps of the value k + 1."""
    sequences = [torch.full((2, k + 1), k + 1.0) for k in range(9)]
    return pad_sequences(sequences, [k % 3 for k in range(9)], ["a", "b", "c"], [f"{k}.wav" for k in range(9)])


def test_sequences_are_padded_with_zeros(data):
    assert data.sequences.shape == (9, 2, 9)
    assert data.sequences[2, 0].tolist() == [3.0] * 3 + [0.0] * 6
    assert data.lengths.tolist() == list(range(1, 10))


def test_picked_sequences_are_as_long_as_the_longest_of_them(data):
    few = data.pick(torch.tensor([4, 1]))
    assert few.sequences.shape == (2, 2, 5)
    assert (few.labels.tolist(), few.files) == ([1, 1], ("4.wav", "1.wav"))


def test_batches_hold_every_sequence_once_and_little_padding(data):
    batches = list(data.batches(3, torch.Generator().manual_seed(0)))
    assert sorted(name for batch in batches for name in batch.files) == sorted(data.files)
    # sorted by length: 1 to 3, 4 to 6 and 7 to 9 steps
    assert sorted(batch.sequences.shape[2] for batch in batches) == [3, 6, 9]
    assert batches[0].files != next(iter(data.batches(3))).files
    assert [len(batch) for batch in data.batches(4)] == [4, 4, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.tensor([0, 3])}, "labels must be from 0 to 1"),
        ({"lengths": torch.tensor([0, 3])}, "lengths must be from 1 to 3"),
        ({"lengths": torch.tensor([3])}, "2 sequences need as many lengths, labels and files"),
        ({"sequences": torch.zeros(0, 1, 3)}, "holds no sequences"),
    ],
)
def test_data_that_do_not_fit_are_refused(change, message):
    whole = {"sequences": torch.zeros(2, 1, 3), "lengths": torch.tensor([3, 2]), "labels": torch.tensor([0, 1])}
    with pytest.raises(UserError, match=message):
        SequenceData(**{**whole, **change}, class_names=("a", "b"))

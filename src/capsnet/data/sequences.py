"""Sequences of different lengths with their labels, padded at the end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from capsnet.data.spectrogram import LogMel
from capsnet.errors import UserError


@dataclass(frozen=True)
class SequenceData:
    """Sequences with their labels.

    Args:
        sequences: zero where padding is.
        lengths: steps of each sequence.
        labels: indices into `class_names`.
        class_names: a name for each class.
        files: the file of each sequence, or None where sequences are not files.
        preparation: how recordings became sequences, or None.

    Shapes:
        sequences `m c t`, lengths and labels `m`.

    Raises:
        UserError: no sequences, counts that differ, a length out of range, or a label without a class.
    """

    sequences: Float[Tensor, "m c t"]
    lengths: Int[Tensor, " _"]
    labels: Int[Tensor, " _"]
    class_names: tuple[str, ...]
    files: tuple[str, ...] | None = None
    preparation: LogMel | None = None

    def __post_init__(self) -> None:
        count = len(self.sequences)
        if count == 0:
            raise UserError("the data set holds no sequences")
        counts = {len(self.lengths), len(self.labels), count if self.files is None else len(self.files)}
        if counts != {count}:
            raise UserError(f"{count} sequences need as many lengths, labels and files, got {sorted(counts)}")
        steps = self.sequences.shape[2]
        if int(self.lengths.min()) < 1 or int(self.lengths.max()) > steps:
            raise UserError(f"lengths must be from 1 to {steps}")
        if int(self.labels.min()) < 0 or int(self.labels.max()) >= len(self.class_names):
            raise UserError(f"labels must be from 0 to {len(self.class_names) - 1}")

    def __len__(self) -> int:
        return len(self.sequences)

    def pick(self, rows: Int[Tensor, " r"]) -> "SequenceData":
        """Some of the sequences, padded to the longest of them."""
        lengths = self.lengths[rows]
        files = None if self.files is None else tuple(self.files[row] for row in rows.tolist())
        sequences = self.sequences[rows, :, : int(lengths.max())]
        return replace(self, sequences=sequences, lengths=lengths, labels=self.labels[rows], files=files)

    def batches(self, size: int, generator: torch.Generator | None = None) -> Iterator["SequenceData"]:
        """All sequences in batches of `size`; the last may be smaller.

        Args:
            size: of a batch.
            generator: draws the order, in which a batch holds sequences of similar lengths, so that there is little
                padding: sixteen batches are drawn together and sorted by length. None: the order of the data.
        """
        count = len(self)
        order = torch.arange(count)
        if generator is not None:
            drawn = torch.randperm(count, generator=generator)
            order = torch.cat([rows[self.lengths[rows].argsort(stable=True)] for rows in drawn.split(16 * size)])
        batches = order.split(size)
        mixed = range(len(batches)) if generator is None else torch.randperm(len(batches), generator=generator).tolist()
        for number in mixed:
            yield self.pick(batches[number])


def pad_sequences(
    sequences: Sequence[Float[Tensor, "c _"]],
    labels: Sequence[int],
    class_names: Sequence[str],
    files: Sequence[str] | None = None,
) -> SequenceData:
    """Put sequences `c t` of different lengths into one tensor.

    Raises:
        UserError: no sequences, or an invalid label.

    Example:
        >>> data = pad_sequences([torch.ones(2, 5), torch.ones(2, 3)], [0, 1], ["a", "b"])
        >>> data.sequences.shape, data.lengths
        (torch.Size([2, 2, 5]), tensor([5, 3]))
    """
    if not sequences:
        raise UserError("the data set holds no sequences")
    padded = torch.nn.utils.rnn.pad_sequence([sequence.T for sequence in sequences], batch_first=True).transpose(1, 2)
    lengths = torch.tensor([sequence.shape[1] for sequence in sequences])
    return SequenceData(
        padded.contiguous(), lengths, torch.tensor(labels), tuple(class_names), None if files is None else tuple(files)
    )

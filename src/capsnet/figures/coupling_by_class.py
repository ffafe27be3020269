"""How far the windows of sequences are routed to the capsule of their true class."""

from dataclasses import dataclass

import torch

from capsnet.data.sequences import SequenceData
from capsnet.models import SequenceModel

_BATCH = 64


@dataclass(frozen=True)
class ClassCoupling:
    """Coupling of the windows of a class's sequences to the capsule of that class, mean over the sequences.

    Args:
        class_name: the true class.
        n: number of sequences.
        mean: over all windows of a sequence.
        largest: of the window that is coupled most.
        place: middle of that window, as a share of the sequence's length.
    """

    class_name: str
    n: int
    mean: float
    largest: float
    place: float


@torch.no_grad()
def measure_couplings(model: SequenceModel, data: SequenceData) -> list[ClassCoupling]:
    """The couplings of each class that has sequences; empty for a model without coupling of windows.

    Args:
        model: in eval mode.
        data: sequences with their true classes; padding does not count.
    """
    windows = model.windows
    if windows is None:
        return []
    rows: list[list[tuple[float, float, float]]] = [[] for _ in data.class_names]
    for batch in data.batches(_BATCH):
        output = model(batch.sequences, batch.lengths)
        if output.coupling is None:
            return []
        couplings = windows.coupling(output.coupling)
        for coupling, steps, label in zip(couplings, batch.lengths.tolist(), batch.labels.tolist(), strict=True):
            own = coupling[: windows.count(steps), label]
            most = int(own.argmax())
            rows[label].append((float(own.mean()), float(own[most]), float(windows.middles(most + 1)[most]) / steps))
    return [
        ClassCoupling(name, len(values), *torch.tensor(values).mean(dim=0).tolist())
        for name, values in zip(data.class_names, rows, strict=True)
        if values
    ]

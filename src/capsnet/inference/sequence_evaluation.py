"""Evaluation of a model of sequences: errors, confusion of classes, and the prediction for each recording."""

import torch

from capsnet.data.sequences import SequenceData
from capsnet.inference.evaluation import Evaluation
from capsnet.losses.class_loss import class_loss
from capsnet.models import SequenceModel
from capsnet.models.eval_mode import eval_mode
from capsnet.precision import use_precision
from capsnet.runs.results import FileResult

_BATCH = 64


@torch.no_grad()
def evaluate_sequences(model: SequenceModel, data: SequenceData, *, name: str, split: str) -> Evaluation:
    """Evaluate a model of sequences in batches; the model is in eval mode meanwhile.

    Args:
        model: of the channels and classes of `data`.
        data: sequences with labels.
        name: of the data.
        split: which part of them.

    Example:
        >>> tested = find_sequences(model, "sounds")
        >>> evaluate_sequences(model, tested.data, name="sounds", split=tested.split).error_interval
    """
    device, classes = next(model.parameters()).device, len(data.class_names)
    loss, confusion = 0.0, torch.zeros(classes, classes, dtype=torch.long)
    files: list[FileResult] = []
    with use_precision("fp32", device), eval_mode(model):
        for batch in data.batches(_BATCH):
            output = model(batch.sequences.to(device), batch.lengths.to(device))
            loss += float(class_loss(model.loss, output, batch.labels.to(device)).sum())
            lengths = output.lengths.cpu()
            predicted = lengths.argmax(dim=1)
            confusion += torch.bincount(batch.labels * classes + predicted, minlength=classes**2).reshape(classes, -1)
            rows = zip(batch.files or (), batch.labels.tolist(), predicted.tolist(), lengths.tolist(), strict=False)
            files += [
                {"file": file, "label": label, "prediction": prediction, "lengths": row}
                for file, label, prediction, row in rows
            ]
    return Evaluation(
        data=name,
        split=split,
        n=len(data),
        accuracy=int(confusion.trace()) / len(data),
        margin_loss=loss / len(data),
        reconstruction_mse=None,
        confusion=confusion.tolist(),
        class_names=data.class_names,
        files=None if data.files is None else tuple(files),
        samples="series" if data.preparation is None else "recordings",
    )

"""Predictions for recordings of sound, from a model of sequences."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.data.spectrogram import LogMel, Recording, read_recording
from capsnet.errors import UserError
from capsnet.models import SequenceModel
from capsnet.precision import use_precision
from capsnet.prediction import Failure, Prediction


def answer_recordings(
    model: SequenceModel, files: Iterable[str | Path], *, poses: bool = False
) -> Iterator[tuple[Prediction, Float[Tensor, "c t"]] | Failure]:
    """Predict the class of each WAV file, prepared as the recordings were from which the model learned.

    Args:
        model: of sequences; it is set to eval mode.
        files: WAV files of any rate.
        poses: add the poses of the class capsules.

    Returns:
        For each file the prediction and its spectrogram, or the reason why it cannot be read. The prediction for a
        silent recording, or for one of fewer samples a second than the model's, is unsure.

    Raises:
        UserError: the model did not learn from recordings.
    """
    preparation = model.preparation
    if preparation is None:
        raise UserError("the model did not learn from recordings; give it sequences in Python: model(sequences)")
    model.eval()
    device = next(model.parameters()).device
    for file in files:
        try:
            recording = read_recording(file)
            spectrogram = preparation.prepare(recording.samples, recording.rate, file)
            with use_precision("fp32", device), torch.no_grad():
                output = model(spectrogram[None].to(device))
        except UserError as fault:
            yield Failure(str(file), str(fault))
            continue
        lengths = output.lengths[0]
        label = int(lengths.argmax())
        rows = tuple(map(tuple, output.capsules.poses[0].tolist())) if poses else None
        reasons = _doubt(recording, preparation)
        prediction = Prediction(
            label,
            model.class_names[label],
            float(lengths[label]),
            tuple(lengths.tolist()),
            unsure=True if reasons else None,
            reasons=reasons,
            file=str(file),
            poses=rows,
        )
        yield prediction, spectrogram


def _doubt(recording: Recording, preparation: LogMel) -> tuple[str, ...]:
    """Why a prediction is unsure, whatever the model answers."""
    reasons = []
    if recording.samples.min() == recording.samples.max():
        reasons.append("the recording is silent")
    if recording.rate < preparation.rate:
        reasons.append(
            f"it has {recording.rate:,} samples a second, those that the model learned from {preparation.rate:,}: "
            "its highest bands are empty"
        )
    return tuple(reasons)

"""The verbs `data` and `predict` for sequences: recordings and time series."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from capsnet.cli.console import bar, print_json, wrapped
from capsnet.data.formats import printable_name
from capsnet.data.input_kind import find_input_kind
from capsnet.data.recordings import SequenceSplits, load_recordings, load_series
from capsnet.data.sequences import SequenceData
from capsnet.data.survey import make_spread
from capsnet.errors import UserError
from capsnet.inference.recordings import answer_recordings
from capsnet.models import load_sequence_model
from capsnet.prediction import Failure, Prediction
from capsnet.runs.files import write_bytes

_MOST_DRAWN = 4


def print_data(name: str, figure: Path | None, as_json: bool) -> None:
    """Count sequences and their lengths, and draw one of each class."""
    is_sound = find_input_kind(name) == "recordings"
    splits = load_recordings(name) if is_sound else load_series(name)
    if figure is not None:
        from capsnet.figures.sequence_data import draw_sequences
        from capsnet.figures.style import to_png

        title = f"Data set {printable_name(Path(name).name or name)}"
        write_bytes(figure, to_png(draw_sequences(splits.train, title)))
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    present = {split: data for split, data in parts.items() if data is not None}
    if as_json:
        print_json(_to_dict(splits, present))
        return
    noun = "recordings" if is_sound else "series"
    counts = ", ".join(f"{len(data):,} {split}" for split, data in present.items())
    print(f"{printable_name(name)}: {counts}; {noun}\n")
    names, table = splits.train.class_names, {split: _count(data) for split, data in present.items()}
    width = max(5, *map(len, names))
    print("  ".join([f"{'class':{width}}", *(f"{split:>10}" for split in table)]))
    for label, class_name in enumerate(names):
        numbers = [f"{row[label]:>10,}" for row in table.values()]
        share = table["train"][label] / max(table["train"])
        print("  ".join([f"{class_name:{width}}", *numbers, bar(share)]).rstrip())
    lengths = [steps for data in present.values() for steps in data.lengths.tolist()]
    print(f"\nlength    {make_spread(lengths)} steps")
    if splits.seconds is not None:
        print(f"          {splits.seconds} seconds")
    print(f"channels  {splits.train.sequences.shape[1]}{' mel bands' if is_sound else ''}")
    for note in splits.notes:
        print(wrapped(note))
    if figure is not None:
        print(f"figure: {figure}")


def _count(data: SequenceData) -> list[int]:
    counts: list[int] = data.labels.bincount(minlength=len(data.class_names)).tolist()
    return counts


def _to_dict(splits: SequenceSplits, present: dict[str, SequenceData]) -> dict[str, object]:
    lengths = [steps for data in present.values() for steps in data.lengths.tolist()]
    return {
        "data": splits.name,
        "kind": "series" if splits.seconds is None else "recordings",
        "class_names": list(splits.train.class_names),
        "channels": splits.train.sequences.shape[1],
        **{split: _count(data) for split, data in present.items()},
        "steps": asdict(make_spread(lengths)),
        **({} if splits.seconds is None else {"seconds": asdict(splits.seconds)}),
        "notes": list(splits.notes),
    }


def predict_recordings(
    model_file: Path, files: Sequence[Path], *, figure: Path | None, poses: bool, as_json: bool
) -> Iterator[tuple[tuple[Sequence[str], str], Prediction | Failure]]:
    """Predict each WAV file with a model of sequences; at the end, draw the figure.

    Args:
        model_file: of the model.
        files: recordings.
        figure: file of a picture of the first recordings, or None.
        poses: add the poses of the class capsules.
        as_json: standard output is JSON: name the figure on standard error.

    Returns:
        For each file the class names, the name of a class's score, and the prediction.

    Raises:
        UserError: a file that is no recording, or a model that did not learn from recordings.
    """
    other = next((file for file in files if file.suffix.lower() != ".wav"), None)
    if other is not None:
        raise UserError(f"{model_file} classifies recordings: give WAV files, got {other}")
    model = load_sequence_model(model_file)
    labels = model.class_names, "length" if model.windows is not None else "probability"
    spectrograms: list[Float[Tensor, "c t"]] = []
    names: list[str] = []
    count = 0
    for answer in answer_recordings(model, files, poses=poses):
        if isinstance(answer, Failure):
            yield labels, answer
            continue
        prediction, spectrogram = answer
        count += 1
        if len(names) < _MOST_DRAWN:
            spectrograms.append(spectrogram)
            names.append(Path(prediction.file or "").name)
        yield labels, prediction
    if figure is not None and names:
        from capsnet.figures.sequence import draw_couplings
        from capsnet.figures.style import to_png

        write_bytes(figure, to_png(draw_couplings(model, spectrograms, names, class_lengths=True)))
        more = f" (the first {len(names)} of {count:,} recordings)" if count > len(names) else ""
        print(f"figure: {figure}{more}", file=sys.stderr if as_json else sys.stdout)

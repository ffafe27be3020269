"""`capsnet predict`."""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from capsnet.cli.console import bar, print_json
from capsnet.cli.parse import parse
from capsnet.errors import UserError
from capsnet.inference.predict import (
    NO_DIGIT,
    Answer,
    Failure,
    Prediction,
    answer_files,
    choose_range,
    collect_notes,
)
from capsnet.inference.words import length_word
from capsnet.models import CapsuleModel
from capsnet.runs import load
from capsnet.runs.files import write_bytes


@dataclass(frozen=True)
class Predict:
    """Classify image files.

    For a network of digits a file is prepared as MNIST's digits were: light strokes on black (dark strokes on light
    paper are inverted), cropped, scaled to 20x20 and centred by mass. For other networks it is fitted into the frame.

    An answer is marked as unsure if its capsule is short, a second one is nearly as long, its reconstruction is poor,
    or several pieces of ink stand side by side; the limits were measured on validation images (capsnet show).

    Files that cannot be read are named at the end, and the exit status is 2; the others are classified.

    Examples:
      capsnet predict efficient-capsnet-mnist photo.jpg
      capsnet predict runs/quickstart seven.png
      capsnet predict runs/quickstart scans/*.png --json --figure seen.png
    """

    model: tyro.conf.Positional[Path]
    """A run folder, a weights file, or a name from capsnet list pretrained."""
    images: tyro.conf.Positional[tuple[Path, ...]]
    """Image files, of any size."""
    as_is: bool = False
    """Only scale the image into the frame; do not invert, crop or centre it."""
    pixel_range: tuple[float, float] | None = None
    """Values that become black and white, of files of more than 8 bits (default: the model's, else the files')."""
    figure: Path | None = None
    """Draw up to 30 images as the network saw them, their lengths and reconstructions into this file."""
    json: bool = False
    """Print one JSON object."""
    poses: bool = False
    """Add the poses of the class capsules (with --json)."""


def main(args: list[str]) -> int:
    """Predict and print."""
    options = parse(Predict, args)
    if not options.images:
        raise UserError("no image files given: capsnet predict RUN IMAGE...")
    if options.figure is not None and options.figure.exists():
        raise UserError(f"{options.figure} exists; give another --figure")
    if options.poses and not options.json:
        raise UserError("--poses needs --json")
    model = load(options.model)
    predictions: list[dict[str, object]] = []
    failures: list[Failure] = []
    drawn: list[Answer] = []
    pixel_range, infos = choose_range(model, options.images, options.pixel_range)
    for note in collect_notes(infos):
        print(f"capsnet: {note}", file=sys.stderr)
    answers = answer_files(
        model,
        options.images,
        preparation="fit" if options.as_is else None,
        pixel_range=pixel_range,
        poses=options.poses,
    )
    for answer in answers:
        if isinstance(answer, Failure):
            failures.append(answer)
            continue
        if options.figure is not None:
            _keep(drawn, answer)
        if options.json:
            predictions.append(_to_dict(answer.prediction, model))
        else:
            _print(answer.prediction, model)
    count = len(options.images) - len(failures)
    if options.figure is not None and drawn:
        _draw(options.figure, drawn, count, model)
        more = f" (the first {len(drawn)} of {count:,} images)" if count > len(drawn) else ""
        print(f"figure: {options.figure}{more}", file=sys.stderr if options.json else sys.stdout)
    if options.json:
        failed = [{"file": failure.file, "error": failure.error} for failure in failures]
        print_json({"predictions": predictions, **({"failed": failed} if failed else {})})
    return _report(failures, len(options.images))


def _report(failures: list[Failure], count: int) -> int:
    """Name the files that could not be read; the exit status."""
    for failure in failures:
        print(f"capsnet: {failure.error}", file=sys.stderr)
    if failures and count > 1:
        print(f"capsnet: {len(failures)} of {count} files could not be read", file=sys.stderr)
    return 2 if failures else 0


def _keep(drawn: list[Answer], answer: Answer) -> None:
    """Keep what the figure shows, and no more of many images."""
    from capsnet.figures.prediction import MOST_IMAGES

    if len(drawn) < MOST_IMAGES:
        drawn.append(answer)


def _draw(path: Path, answers: list[Answer], count: int, model: CapsuleModel) -> None:
    from capsnet.figures.prediction import draw_prediction
    from capsnet.figures.style import to_png

    drawings = [answer.drawn for answer in answers if answer.drawn is not None]
    predictions = [answer.prediction for answer in answers]
    figure = draw_prediction(
        torch.stack([answer.seen for answer in answers]),
        torch.tensor([prediction.lengths for prediction in predictions]),
        torch.stack(drawings) if drawings else None,
        model.class_names,
        [prediction.file or "" for prediction in predictions],
        unsure=[bool(prediction.unsure) for prediction in predictions],
        total=count,
        word=length_word(model),
    )
    write_bytes(path, to_png(figure))


def _to_dict(prediction: Prediction, model: CapsuleModel) -> dict[str, object]:
    names = model.class_names
    values: dict[str, object] = {
        "file": prediction.file,
        "label": prediction.label,
        "class_name": prediction.class_name,
        "length": prediction.length,
        "lengths": list(prediction.lengths),
    }
    if prediction.labels is not None:
        values |= {"labels": list(prediction.labels), "class_names": [names[k] for k in prediction.labels]}
    if prediction.unsure is not None:
        values |= {"unsure": prediction.unsure, "reasons": list(prediction.reasons)}
    if prediction.poses is not None:
        values["poses"] = [list(pose) for pose in prediction.poses]
    return values


def _print(prediction: Prediction, model: CapsuleModel) -> None:
    if prediction.label is None:
        print(f"{prediction.file}: {NO_DIGIT} (--as-is shows it to the network as it is)")
        return
    names = model.class_names
    labels = prediction.labels or (prediction.label,)
    answer = f"{' and '.join(names[k] for k in labels)}  ({length_word(model)} {prediction.length:.2f})"
    if prediction.unsure:
        answer = f"unsure: most like {answer}; {'; '.join(prediction.reasons)}"
    print(f"{prediction.file}: {answer}")
    width = max(len(name) for name in names)
    for label, (name, length) in enumerate(zip(names, prediction.lengths, strict=True)):
        mark = "◂" if label in labels else ""
        print(f"  {name:{width}}  {length:.2f}  {bar(length)} {mark}".rstrip())

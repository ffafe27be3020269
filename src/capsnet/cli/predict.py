"""`capsnet predict`."""

import importlib
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Union

import tyro

from capsnet.cli.console import bar, print_json
from capsnet.cli.importing import importing
from capsnet.cli.outputs import check_output
from capsnet.cli.parse import PathArguments, parse
from capsnet.cli.streams import needing_reader
from capsnet.data.images import choose_range, collect_notes
from capsnet.data.pixels import PixelRange
from capsnet.errors import UserError
from capsnet.prediction import NO_DIGIT, NOT_FINITE, Failure, Prediction

# ONNX files are run without PyTorch
if TYPE_CHECKING:
    from capsnet.inference.predict import Answer
    from capsnet.models import CapsuleModel
    from capsnet.models.named import StoredKind


# for `X | None`, unlike `Union[None, X]`, tyro imports a type checker, which takes 0.05 s
@dataclass(frozen=True)
class Predict:
    """Classify image files or recordings, or find the mask of each class in images.

    For a network trained on digits, images are preprocessed like MNIST: light strokes on black (dark strokes on light
    paper are inverted), cropped, scaled to 20x20 and centred by mass. For other networks they are scaled to fit.

    A prediction is marked unsure if its capsule is short, a second capsule is nearly as long, its reconstruction is
    poor, or the image has several separate shapes. The thresholds come from validation images (capsnet show).

    WAV files are classified by a model of sequences that learned from recordings. A model for segmentation reports the
    area of each class, and with --out it writes masks: PNG files with a class number at each pixel, 0 for the
    background; where classes overlap, the longest capsule gives the number.

    Unreadable files are listed at the end, with exit status 2; the others are classified.

    Examples:
      capsnet predict efficient-capsnet-mnist photo.jpg
      capsnet predict runs/quickstart seven.png
      capsnet predict runs/quickstart scans/*.png --json --figure inputs.png
      capsnet predict model.onnx photo.jpg
      capsnet predict digits.safetensors seven.wav --figure couplings.png
      capsnet predict cells.safetensors scans/*.png --out masks --figure overlays.png
    """

    model: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="MODEL")]]
    """A run folder, a weights file, a name from capsnet list pretrained, or an .onnx file from capsnet export."""
    images: tyro.conf.Positional[PathArguments]
    """Image files of any size, or WAV files."""
    as_is: bool = False
    """Only scale the image to fit; do not invert, crop or centre it."""
    pixel_range: Union[None, tuple[float, float]] = None  # noqa: UP007, RUF036
    """Values that become black and white, for files of more than 8 bits (default: the model's, or the files')."""
    figure: Union[None, Path] = None  # noqa: UP007, RUF036
    """Draw the network's input, the capsule lengths and the reconstruction of up to 30 images into this file; of
    recordings their spectrograms and couplings, for segmentation the masks."""
    out: Union[None, Path] = None  # noqa: UP007, RUF036
    """New folder for the masks of a model for segmentation."""
    json: bool = False
    """Print one JSON object."""
    poses: bool = False
    """Add the poses of the class capsules (with --json)."""


def main(args: list[str]) -> int:
    """Predict and print."""
    options = parse(Predict, args)
    if not options.images:
        raise UserError("no image files given: capsnet predict RUN IMAGE...")
    check_output(options.figure, "--figure", suffix=".png")
    if options.poses and not options.json:
        raise UserError("--poses needs --json")
    failures: list[Failure] = []
    predictions: list[dict[str, object]] = []
    kind = _find_kind(options)
    if kind == "segmenter":
        return _predict_masks(options)
    if options.out is not None:
        raise UserError(f"--out is for masks, and needs a run or weights file of a segmenter, got {options.model}")
    answer = _answer_by_onnx if options.model.suffix == ".onnx" else _answer_by_torch
    if kind == "sequence model":
        answer = _answer_recordings
    elif any(file.suffix.lower() == ".wav" for file in options.images):
        raise UserError(f"WAV files need a run or weights file of a model of sequences, got {options.model}")
    with needing_reader(None if options.figure is None else "the figure is not drawn"):
        for (names, word), prediction in answer(options):
            if isinstance(prediction, Failure):
                failures.append(prediction)
                continue
            _check_finite(prediction)
            if options.json:
                predictions.append(_to_dict(prediction, names))
            else:
                _print(prediction, names, word)
    if options.json:
        failed = [{"file": failure.file, "error": failure.error} for failure in failures]
        print_json({"predictions": predictions, **({"failed": failed} if failed else {})})
    return _report(failures, len(options.images))


# class names, the name of a class's score, and the prediction of a file
Answers = Iterator[tuple[tuple[Sequence[str], str], Prediction | Failure]]


def _answer_by_onnx(options: Predict) -> Answers:
    """Predict each file with an exported model."""
    if options.figure is not None:
        raise UserError("--figure needs the run or the weights: .onnx files are run without PyTorch")
    from capsnet.interop.onnx_answers import OnnxModel

    model = OnnxModel.open(options.model)
    answers = model.answer_files(
        options.images,
        preparation="fit" if options.as_is else None,
        pixel_range=_choose_range(options, model.about.pixel_range),
        poses=options.poses,
    )
    for answer in answers:
        yield (model.about.class_names, model.about.word), answer


def _answer_by_torch(options: Predict) -> Answers:
    """Predict each file with a PyTorch model; at the end, draw the figure."""
    from capsnet.inference.predict import answer_files
    from capsnet.inference.words import length_word
    from capsnet.runs import load

    model = load(options.model)
    labels = model.class_names, length_word(model)
    drawn: list[Answer] = []
    failed = 0
    answers = answer_files(
        model,
        options.images,
        preparation="fit" if options.as_is else None,
        pixel_range=_choose_range(options, model.inputs.pixel_range),
        poses=options.poses,
    )
    for answer in answers:
        if isinstance(answer, Failure):
            failed += 1
            yield labels, answer
            continue
        if options.figure is not None:
            _keep(drawn, answer)
        yield labels, answer.prediction
    count = len(options.images) - failed
    if options.figure is not None and drawn:
        _draw(options.figure, drawn, count, model)
        more = f" (the first {len(drawn)} of {count:,} images)" if count > len(drawn) else ""
        print(f"figure: {options.figure}{more}", file=sys.stderr if options.json else sys.stdout)


def _answer_recordings(options: Predict) -> Answers:
    """Predict each WAV file with a model of sequences; at the end, draw the figure."""
    if options.as_is or options.pixel_range is not None:
        raise UserError("--as-is and --pixel-range are for images, not for recordings")
    from capsnet.cli.sequences import predict_recordings

    file = _weights_file(options.model)
    return predict_recordings(file, options.images, figure=options.figure, poses=options.poses, as_json=options.json)


def _predict_masks(options: Predict) -> int:
    """Segment each image."""
    given = {
        "--as-is": options.as_is,
        "--pixel-range": options.pixel_range is not None,
        "--poses": options.poses,
    }
    for flag, is_given in given.items():
        if is_given:
            raise UserError(f"{flag} is for networks that classify images; {options.model} segments them")
    from capsnet.cli.masks import predict_masks

    written = [flag for flag, path in (("masks", options.out), ("the figure", options.figure)) if path is not None]
    with needing_reader(f"not all of {' and '.join(written)} is written" if written else None):
        failures = predict_masks(
            _weights_file(options.model), options.images, out=options.out, figure=options.figure, as_json=options.json
        )
    return _report(failures, len(options.images))


def _find_kind(options: Predict) -> "StoredKind | None":
    """What the model in a file or run is for; None: it classifies images, or loading it explains what it is."""
    if options.model.suffix == ".onnx":
        return None
    _require_torch(options.model)
    from capsnet.models.named import stored_kind

    return stored_kind(_weights_file(options.model))


def _weights_file(model: Path) -> Path:
    """The file of a run's weights, or the given file."""
    return model / "weights.safetensors" if model.is_dir() else model


def _require_torch(model: Path) -> None:
    try:
        _import_torch()
    except ModuleNotFoundError as fault:
        if fault.name != "torch":
            raise
        raise UserError(f"{model} needs PyTorch (pip install torch); without it, use an .onnx file") from None


def _import_torch() -> None:
    """Import the modules that need PyTorch with a verb's settings for imports, unless PyTorch is already imported."""
    if sys.modules.get("torch") is not None:
        return
    with importing():
        importlib.import_module("capsnet.inference.predict")


def _choose_range(options: Predict, own: PixelRange | None) -> PixelRange | None:
    pixel_range, infos = choose_range(options.images, own, options.pixel_range)
    for note in collect_notes(infos):
        print(f"capsnet: {note}", file=sys.stderr)
    return pixel_range


def _report(failures: list[Failure], count: int) -> int:
    """Report files that could not be read; return the exit status."""
    for failure in failures:
        print(f"capsnet: {failure.error}", file=sys.stderr)
    if failures and count > 1:
        print(f"capsnet: {len(failures)} of {count} files could not be read", file=sys.stderr)
    return 2 if failures else 0


def _keep(drawn: "list[Answer]", answer: "Answer") -> None:
    """Keep answers for the figure, up to its maximum."""
    from capsnet.figures.prediction import MOST_IMAGES

    if len(drawn) < MOST_IMAGES:
        drawn.append(answer)


def _draw(path: Path, answers: "list[Answer]", count: int, model: "CapsuleModel") -> None:
    import torch

    from capsnet.figures.prediction import draw_prediction
    from capsnet.figures.style import to_png
    from capsnet.inference.words import length_word
    from capsnet.runs.files import write_bytes

    drawings = [answer.drawn for answer in answers if answer.drawn is not None]
    predictions = [answer.prediction for answer in answers]
    figure = draw_prediction(
        torch.stack([answer.seen for answer in answers]),
        torch.tensor([prediction.lengths for prediction in predictions]),
        torch.stack(drawings) if drawings else None,
        model.class_names,
        [prediction.file or "" for prediction in predictions],
        # an image without a digit has no class
        unsure=[bool(prediction.unsure) or prediction.label is None for prediction in predictions],
        total=count,
        word=length_word(model),
    )
    write_bytes(path, to_png(figure))


def _check_finite(prediction: Prediction) -> None:
    if not all(map(math.isfinite, prediction.lengths)):
        raise UserError(f"{prediction.file}: {NOT_FINITE}")


def _to_dict(prediction: Prediction, names: Sequence[str]) -> dict[str, object]:
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


def _print(prediction: Prediction, names: Sequence[str], word: str) -> None:
    if prediction.label is None:
        print(f"{prediction.file}: {NO_DIGIT} (--as-is passes it to the network unchanged)")
        return
    labels = prediction.labels or (prediction.label,)
    answer = f"{' and '.join(names[k] for k in labels)}  ({word} {prediction.length:.2f})"
    if prediction.unsure:
        answer = f"unsure: most like {answer}; {'; '.join(prediction.reasons)}"
    print(f"{prediction.file}: {answer}")
    width = max(len(name) for name in names)
    for label, (name, length) in enumerate(zip(names, prediction.lengths, strict=True)):
        mark = "◂" if label in labels else ""
        print(f"  {name:{width}}  {length:.2f}  {bar(length)} {mark}".rstrip())

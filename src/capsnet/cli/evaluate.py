"""`capsnet evaluate`."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from capsnet.cli.console import bar, counted, print_json
from capsnet.cli.evaluate_other import evaluate_mask_model, evaluate_sequence_model, to_csv
from capsnet.cli.outputs import check_output
from capsnet.cli.parse import PathArguments, parse
from capsnet.data.formats import printable_name
from capsnet.data.shards import Shards
from capsnet.errors import UserError
from capsnet.inference import Evaluation
from capsnet.inference.evaluate import evaluate_images
from capsnet.inference.images import TestImages, find_images
from capsnet.inference.imported import store_evaluation
from capsnet.losses import LOSSES
from capsnet.models import CapsuleModel
from capsnet.models.ensemble import Ensemble
from capsnet.models.named import stored_kind
from capsnet.runs import Run, load
from capsnet.runs.files import write_text
from capsnet.runs.folder import is_run_folder
from capsnet.training.device import resolve_device


@dataclass(frozen=True)
class Evaluate:
    """Test a trained network on a data set, or an ensemble of networks, whose capsule lengths are averaged.

    A folder that the network was not trained on is tested whole, with the preprocessing of capsnet predict. The test of
    an imported run is stored in its folder.

    Of a model for segmentation: Dice and pixel error of each class. Of a model of sequences: the error as for images.

    Examples:
      capsnet evaluate runs/quickstart
      capsnet evaluate runs/photos --data new-photos/ --csv answers.csv
      capsnet evaluate runs/quickstart/weights.safetensors --data mnist --json
      capsnet evaluate runs/cifar10-1 runs/cifar10-2 runs/cifar10-3
      capsnet evaluate runs/scans --data new-scans/ --csv dice.csv
    """

    models: tyro.conf.Positional[PathArguments]
    """Run folders, weights files or names from capsnet list pretrained; several are tested as an ensemble."""
    data: str | None = None
    """Data set, folder, .tar files or hf:NAME; default: the training data set. If that folder was moved, give its new
    path."""
    split: Literal["test", "validation", "train"] | None = None
    """Split of the data; default: test, or all images of a folder that the network was not trained on."""
    data_dir: Path | None = None
    """Folder of named data sets."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device; auto: the GPU if there is one."""
    skip_unreadable: bool = False
    """Skip files of an image folder that are not readable images."""
    shards: Shards | None = None
    """Keep prepared photos in memory-mapped files (default: as in training, or where they exceed a quarter of the free
    memory)."""
    pairs_per_digit: int = 0
    """Test pairs of each digit, for data sets of pairs (0: as in training; the paper: 1000)."""
    csv: Path | None = None
    """For a folder: write file, label, prediction and lengths of each image or recording to this CSV file; for
    segmentation, file and Dice."""
    json: bool = False
    """Print one JSON object."""


def main(args: list[str]) -> None:
    """Evaluate and print."""
    options = parse(Evaluate, args)
    if not options.models:
        raise UserError("no network given: capsnet evaluate takes a run folder or a weights file, or several")
    check_output(options.csv, "--csv")
    run = Run.open(options.models[0]) if len(options.models) == 1 and is_run_folder(options.models[0]) else None
    if len(options.models) == 1 and _is_other(options, run):
        return
    members = [load(path) for path in options.models]
    model = (members[0] if len(members) == 1 else Ensemble(members)).to(resolve_device(options.device))
    images = _find_images(model, run, options)
    if options.csv is not None and images.data.files is None:
        raise _no_files(images.name, "images")
    if options.pairs_per_digit:
        images = _with_pairs(images, options.pairs_per_digit)
    for note in (*images.notes, *images.cautions):
        print(f"capsnet: {note}", file=sys.stderr)
    result = evaluate_images(model, images)
    _write(options, result, LOSSES.get(model.loss).words)
    own = run is not None and options.data in (None, run.config.data.name) and not options.pairs_per_digit
    if run is not None and own and result.split == "test" and run.imported() is not None:
        store_evaluation(run, model, result)


def _is_other(options: Evaluate, run: Run | None) -> bool:
    """Test and print a segmentation model or a model of sequences; False: it is neither."""
    weights = options.models[0] if run is None else run.weights_path
    kind = stored_kind(weights)
    if kind is None:
        return False
    given = {
        "--data-dir": options.data_dir is not None,
        "--skip-unreadable": options.skip_unreadable,
        "--shards": options.shards is not None,
        "--pairs-per-digit": bool(options.pairs_per_digit),
    }
    for flag, is_given in given.items():
        if is_given:
            raise UserError(f"{flag} must be left out: it is for networks that classify images, {weights} is a {kind}")
    data, split, device = options.data, options.split, resolve_device(options.device)
    if kind == "segmenter":
        evaluate_mask_model(
            weights, run, data=data, split=split, device=device, csv_file=options.csv, as_json=options.json
        )
    else:
        result, loss = evaluate_sequence_model(weights, run, data=data, split=split, device=device)
        _write(options, result, loss)
    return True


def _write(options: Evaluate, result: Evaluation, loss: str) -> None:
    """Write the CSV file, and print the result."""
    if options.csv is not None:
        write_text(options.csv, _to_csv(result))
    if options.json:
        print_json(result.to_dict())
        return
    _print(result, loss)
    if options.csv is not None:
        print(f"predictions: {options.csv}")


def _find_images(model: CapsuleModel, run: Run | None, options: Evaluate) -> TestImages:
    return find_images(
        model,
        options.data,
        options.split,
        run=run,
        data_dir=options.data_dir,
        skip_unreadable=options.skip_unreadable,
        shards=options.shards,
    )


def _with_pairs(images: TestImages, count: int) -> TestImages:
    if images.pairing is None:
        raise UserError(f"--pairs-per-digit is for pairs, but {images.name} holds single images")
    return replace(images, pairing=replace(images.pairing, pairs_per_digit=count))


def _to_csv(result: Evaluation) -> str:
    """One row per file: class names, and lengths in the order of the model's classes, separated by spaces."""
    if result.files is None or result.class_names is None:
        raise _no_files(result.data, result.samples)
    rows = []
    for row in result.files:
        label, prediction = (result.class_names[k] for k in (row["label"], row["prediction"]))
        rows.append([row["file"], label, prediction, " ".join(f"{length:.6g}" for length in row["lengths"])])
    return to_csv(["file", "label", "prediction", "lengths"], rows)


def _print(result: Evaluation, loss: str) -> None:
    low, high = result.error_interval
    pairs = result.digit_error_percent is not None
    split = f"all of its {result.noun}" if result.split == "all" else f"{result.split} split"
    print(f"{printable_name(result.data)}, {split}, {counted(result.n, result.noun)}")
    print(f"error        {result.error_percent:.2f} %  (95 % interval {low:.2f} to {high:.2f} %)")
    if result.originals is not None and result.originals < result.n:
        print(
            f"             the interval is that of {result.originals:,} images, from which the {result.noun} were made"
        )
    if pairs:
        digit_error = result.digit_error_percent
        print(f"             a pair is correct if both digits are; error of single digits: {digit_error:.2f} %")
    print(f"accuracy     {100 * result.accuracy:.2f} %")
    if result.is_uneven:
        print(
            f"balanced     {100 * result.balanced_accuracy:.2f} %  (mean over the classes; class sizes differ widely)"
        )
    print(f"{loss:11}  {result.margin_loss:.5f}")
    if result.reconstruction_mse is not None:
        decoded = "each digit's" if pairs else "the longest"
        print(f"pixel error  {result.reconstruction_mse:.5f}  (mean squared error, decoded from {decoded} capsule)")
    _print_classes(result)


def _print_classes(result: Evaluation) -> None:
    names = result.class_names or tuple(map(str, range(len(result.confusion))))
    rows = [
        (name, sum(row) - row[k], sum(row)) for k, (name, row) in enumerate(zip(names, result.confusion, strict=True))
    ]
    present = [row for row in rows if row[2]]
    width = max(len(name) for name, _, _ in present)
    worst = max(errors / count for _, errors, count in present)
    print("errors per class")
    for name, errors, count in present:
        share = errors / count / worst if worst else 0.0
        print(f"  {name:{width}}  {errors:>5} of {count:<6,} {bar(share)}".rstrip())
    if len(present) < len(rows):
        print(f"  no {result.noun} of {', '.join(name for name, _, count in rows if not count)}")


def _no_files(data: str, samples: str) -> UserError:
    kind = "images" if samples == "images" else "recordings"
    return UserError(f"--csv lists files, but {data} is not a folder of {kind}")

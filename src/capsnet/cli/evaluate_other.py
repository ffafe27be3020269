"""`capsnet evaluate` for segmentation models and models of sequences."""

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from capsnet.cli.console import bar, counted, print_json, wrapped
from capsnet.data.formats import printable_name
from capsnet.inference import Evaluation
from capsnet.inference.find_samples import find_masks, find_sequences
from capsnet.inference.mask_evaluation import MaskEvaluation, evaluate_masks
from capsnet.inference.sequence_evaluation import evaluate_sequences
from capsnet.losses import LOSSES
from capsnet.models import load_segmenter, load_sequence_model
from capsnet.runs import Run
from capsnet.runs.files import write_text


def evaluate_mask_model(
    weights: Path,
    run: Run | None,
    *,
    data: str | None,
    split: str | None,
    device: torch.device,
    csv_file: Path | None,
    as_json: bool,
) -> None:
    """Test a segmentation model and print Dice and pixel error of each class.

    Args:
        weights: its file.
        run: that it belongs to, or None.
        data: a folder; None: that of the run.
        split: see `find_masks`.
        device: where to compute.
        csv_file: for the Dice coefficient of each image, or None.
        as_json: print one JSON object.

    Raises:
        UserError: as `find_masks`.
    """
    model = load_segmenter(weights).to(device)
    samples = find_masks(model, data, split, run=run)
    _print_notes(samples.notes)
    result = evaluate_masks(model, samples.data, name=samples.name, split=samples.split)
    if csv_file is not None:
        rows = [[row["file"], f"{row['dice']:.6g}"] for row in result.files]
        write_text(csv_file, to_csv(["file", "dice"], rows))
    if as_json:
        print_json(result.to_dict())
        return
    _print_masks(result)
    if csv_file is not None:
        print(f"Dice of each image: {csv_file}")


def evaluate_sequence_model(
    weights: Path, run: Run | None, *, data: str | None, split: str | None, device: torch.device
) -> tuple[Evaluation, str]:
    """Test a model of sequences; `capsnet evaluate` prints the result as that of images.

    Returns:
        The result, and the display name of the model's loss.

    Raises:
        UserError: as `find_sequences`.
    """
    model = load_sequence_model(weights).to(device)
    samples = find_sequences(model, data, split, run=run)
    _print_notes(samples.notes)
    result = evaluate_sequences(model, samples.data, name=samples.name, split=samples.split)
    return result, LOSSES.get(model.loss).words


def to_csv(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


def _print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"capsnet: {note}", file=sys.stderr)


def _print_masks(result: MaskEvaluation) -> None:
    split = "all of its images" if result.split == "all" else f"{result.split} split"
    print(f"{printable_name(result.data)}, {split}, {counted(result.n, 'images')}")
    print(f"Dice         {100 * result.dice:.2f} %  (mean over the images, all classes pooled)")
    print(f"IoU          {100 * result.iou:.2f} %")
    print(f"pixel error  {100 * result.pixel_error:.2f} %  (pixels whose classes are not exactly the true ones)")
    print(f"loss         {result.loss:.5f}")
    width = max(10, *(len(row["class_name"]) for row in result.classes))
    print(f"\n{'class':{width}}  {'of pixels':>9}  {'error':>8}      Dice")
    for row in result.classes:
        shares = f"{100 * row['share']:>7.2f} %  {100 * row['pixel_error']:>6.2f} %"
        print(f"{row['class_name']:{width}}  {shares}  {100 * row['dice']:>6.2f} %  {bar(row['dice'])}".rstrip())
    absent = [row["class_name"] for row in result.classes if not row["share"]]
    if absent:
        print(wrapped(f"no image has pixels of {', '.join(absent)}: Dice is then 1 if none are predicted, else 0"))

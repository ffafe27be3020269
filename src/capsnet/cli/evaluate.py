"""`capsnet evaluate`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from capsnet.cli.console import bar, print_json
from capsnet.cli.parse import parse
from capsnet.data import Dataset
from capsnet.errors import UserError
from capsnet.inference import Evaluation, evaluate
from capsnet.inference.evaluate import load_data_for
from capsnet.losses.class_loss import LOSS_WORDS
from capsnet.models.ensemble import Ensemble
from capsnet.runs import load
from capsnet.training.device import resolve_device


@dataclass(frozen=True)
class Evaluate:
    """Test a trained network on a data set, or several together: the lengths of their capsules are added.

    Examples:
      capsnet evaluate runs/quickstart
      capsnet evaluate runs/quickstart/weights.safetensors --data mnist --json
      capsnet evaluate runs/cifar10-1 runs/cifar10-2 runs/cifar10-3
    """

    models: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, weights files or names from capsnet list pretrained; several are tested together, as one network."""
    data: str | None = None
    """Data set or folder; default: the one it was trained on."""
    split: Literal["test", "train"] = "test"
    """Which part of the data."""
    data_dir: Path | None = None
    """Folder that holds named data sets."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute."""
    skip_unreadable: bool = False
    """Leave out files of an image folder that are no images."""
    pairs_per_digit: int = 0
    """Test pairs of each digit, of data that are pairs (0: as in training; the paper: 1000)."""
    json: bool = False
    """Print one JSON object."""


def main(args: list[str]) -> None:
    """Evaluate and print."""
    options = parse(Evaluate, args)
    if not options.models:
        raise UserError("no network given: capsnet evaluate takes a run folder or a weights file, or several")
    members = [load(path) for path in options.models]
    model = (members[0] if len(members) == 1 else Ensemble(members)).to(resolve_device(options.device))
    name = options.data or str(model.data)
    dataset = load_data_for(model, name, data_dir=options.data_dir, skip_unreadable=options.skip_unreadable)
    if options.pairs_per_digit:
        dataset = _with_pairs(dataset, options.pairs_per_digit)
    result = evaluate(model, dataset, options.split)
    if options.json:
        print_json(result.to_dict())
    else:
        split = dataset.test if options.split == "test" else dataset.train
        _print(result, split.class_names, LOSS_WORDS[getattr(members[0], "loss", "margin")])


def _with_pairs(dataset: Dataset, count: int) -> Dataset:
    if dataset.pairing is None:
        raise UserError(f"--pairs-per-digit is for data that are pairs, {dataset.name} is single images")
    return replace(dataset, pairing=replace(dataset.pairing, pairs_per_digit=count))


def _print(result: Evaluation, class_names: tuple[str, ...], loss: str) -> None:
    low, high = result.error_interval
    pairs = result.digit_error_percent is not None
    print(f"{result.data}, {result.split} split, {result.n:,} {result.noun}")
    print(f"error        {result.error_percent:.2f} %  (95 % interval {low:.2f} to {high:.2f} %)")
    if pairs:
        missed = result.digit_error_percent
        print(f"             a pair is right where both digits are found; single digits missed: {missed:.2f} %")
    print(f"accuracy     {result.accuracy:.4f}")
    print(f"{loss:11}  {result.margin_loss:.5f}")
    if result.reconstruction_mse is not None:
        decoded = "each digit's own" if pairs else "longest"
        print(f"pixel error  {result.reconstruction_mse:.5f}  (mean squared, {decoded} capsule decoded)")
    wrong = [(sum(row) - row[k], sum(row)) for k, row in enumerate(result.confusion)]
    width = max(len(name) for name in class_names)
    worst = max((errors / max(count, 1) for errors, count in wrong), default=0.0)
    print("wrong in each class")
    for name, (errors, count) in zip(class_names, wrong, strict=False):
        share = errors / max(count, 1) / worst if worst else 0.0
        print(f"  {name:{width}}  {errors:>5} of {count:<6,} {bar(share)}")

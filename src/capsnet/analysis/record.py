"""The result of an analysis with its settings and origin, and the file that holds it."""

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import torch

from capsnet._version import __version__
from capsnet.analysis.registry import ANALYSES, Analysis
from capsnet.bounds import whole
from capsnet.data import Dataset, ImageData
from capsnet.errors import UserError
from capsnet.inference.evaluate import match_classes
from capsnet.models import CapsuleModel
from capsnet.precision import use_precision
from capsnet.runs.files import write_json
from capsnet.runs.folder import Run
from capsnet.runs.typed import read_typed

_LIMIT = whole(0, 2**31 - 1)


class Record(TypedDict):
    """The contents of `analysis/NAME.json`.

    Args:
        analysis: its name.
        data: name of the data set.
        split: the images' split.
        n: number of images.
        seed: of the choice of images and of all random draws.
        quick: computed for a report on few images; `capsnet analyse` may replace it.
        settings: of the analysis.
        weights: the start of the SHA-256 of the weights file.
        device: where it ran.
        capsnet: version.
        torch: version.
        seconds: duration.
        results: the numbers; each analysis has its own names.
    """

    analysis: str
    data: str
    split: str
    n: int
    seed: int
    quick: bool
    settings: Mapping[str, object]
    weights: str
    device: str
    capsnet: str
    torch: str
    seconds: float
    results: Mapping[str, object]


def analyse(
    model: CapsuleModel,
    dataset: Dataset,
    name: str,
    *,
    limit: int = 0,
    seed: int = 0,
    quick: bool = False,
    weights: str = "",
) -> Record:
    """Run one analysis of a trained model.

    Args:
        model: in eval mode, with `class_names` and `input_shape`.
        dataset: images of the model's size, channels and classes.
        name: one of `ANALYSES`.
        limit: how many images (0: the analysis's own number).
        seed: of the choice of images and of all random draws.
        quick: few images and coarser settings, for a report.
        weights: their fingerprint, for the record; see `fingerprint`.

    Raises:
        UserError: an unknown analysis, or one that this model or data set does not allow.

    Example:
        >>> analyse(capsnet.load("runs/quickstart"), load_data("digits"), "routing")["results"]["t_score"]
    """
    _LIMIT.check("limit", limit)
    analysis = ANALYSES.get(name)
    settings = {**analysis.settings, **(analysis.quick_settings if quick else {})}
    images = dataset.test if analysis.split == "test" else dataset.train
    if images.labels.ndim != 1 or dataset.pairing is not None:
        raise UserError(f"{dataset.name} has several classes per image; the analysis needs one")
    data = choose(match_classes(images, model, dataset.name), limit or _images(analysis, quick), seed=seed)
    drawn = {"seed": seed} if analysis.draws else {}
    started = time.monotonic()
    with use_precision("fp32", model.device):
        results = analysis.measure(model, data, **settings, **drawn)
    return {
        "analysis": name,
        "data": dataset.name,
        "split": analysis.split,
        "n": len(data),
        "seed": seed,
        "quick": quick,
        "settings": {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()},
        "weights": weights,
        "device": str(model.device),
        "capsnet": __version__,
        "torch": torch.__version__,
        "seconds": round(time.monotonic() - started, 3),
        "results": results,
    }


def _images(analysis: Analysis, quick: bool) -> int:
    return analysis.quick_images if quick else analysis.images


def count_images(model: CapsuleModel, dataset: Dataset, name: str, limit: int = 0) -> int:
    """Number of images that `analyse` would use."""
    analysis = ANALYSES.get(name)
    images = dataset.test if analysis.split == "test" else dataset.train
    return min(limit or analysis.images, len(match_classes(images, model, dataset.name)))


def choose(data: ImageData, count: int, *, seed: int) -> ImageData:
    """Draw `count` images without replacement, in their original order; all of them if there are no more.

    A smaller count draws a subset of a larger one.
    """
    if count >= len(data):
        return data
    return data.select(choose_indices(len(data), count, seed=seed))


def choose_indices(total: int, count: int, *, seed: int) -> torch.Tensor:
    """Indices of the images that `choose` returns.

    Shapes:
        result `count`, or `total` if that is smaller.
    """
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    return order[:count].sort().values


def analysis_path(run: Run, name: str) -> Path:
    """The file of an analysis."""
    return run.folder / "analysis" / f"{name}.json"


def fingerprint(run: Run) -> str:
    """The start of the SHA-256 of a run's weights file: results for other weights are out of date."""
    if not run.weights_path.is_file():
        raise UserError(f"{run.folder} has no weights yet; go on with capsnet train --resume {run.folder}")
    with run.weights_path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def read_record(run: Run, name: str) -> Record | None:
    """Read the record of an analysis; None if there is none.

    Raises:
        UserError: the file is not a record.
    """
    path = analysis_path(run, name)
    if not path.is_file():
        return None
    try:
        record: Record = read_typed(path, Record)
    except UserError as fault:
        raise UserError(f"{fault}; repeat the analysis with capsnet analyse --overwrite") from None
    return record


def write_record(run: Run, record: Record) -> Path:
    """Write an analysis to a run's folder."""
    path = analysis_path(run, record["analysis"])
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as fault:
        raise UserError(f"{path.parent} cannot be created ({fault.strerror})") from None
    write_json(path, {**record})
    return path

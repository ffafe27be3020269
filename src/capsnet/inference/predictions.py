"""The prediction for every image of a split, stored beside a run's `evaluation.json` to compare runs.

`predictions.safetensors` holds a byte for each image: `labels`, `test` (the best weights) and `test_last` (the last
ones). It is not a pickle: reading it runs no code.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from capsnet.errors import UserError
from capsnet.runs.files import write_bytes
from capsnet.runs.folder import Run, SplitResult
from capsnet.runs.weights import read_tensors, to_bytes

FILE = "predictions.safetensors"
FORMAT_VERSION = 1
# 1.2 million images of affNIST and the like take 4 MB
_MAX_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class Predictions:
    """The true and the predicted class of each image of a split, in the order of the data set.

    Args:
        labels: true classes.
        predicted: predicted classes.
        files: a hash of the images' file names; empty where images are not files.
    """

    labels: Int[Tensor, " b"]
    predicted: Int[Tensor, " b"]
    files: str = ""

    @property
    def correct(self) -> Tensor:
        """Whether each image was classified correctly."""
        return self.labels == self.predicted


def hash_names(files: Sequence[str] | None) -> str:
    """A hash of file names and their order; empty for None."""
    return "" if files is None else hashlib.sha256(json.dumps(list(files)).encode()).hexdigest()


def write_predictions(folder: Path, best: Predictions, last: Predictions) -> None:
    """Write the predictions of a run's best and last weights on its test split.

    Raises:
        UserError: the file cannot be written.
    """
    tensors = {"labels": best.labels, "test": best.predicted, "test_last": last.predicted}
    # one byte for each image, two if there are more classes than a byte can hold
    dtype = torch.uint8 if max(int(tensor.max()) for tensor in tensors.values()) < 256 else torch.int16
    metadata = {"capsnet_predictions": json.dumps({"format_version": FORMAT_VERSION, "files": best.files})}
    write_bytes(folder / FILE, to_bytes({name: tensor.to(dtype) for name, tensor in tensors.items()}, metadata))


def read_predictions(run: Run, split: str = "test") -> Predictions | None:
    """Read the predictions of a run's weights on its test split.

    Args:
        run: the run.
        split: `"test"` for the best weights, `"test_last"` for the last ones.

    Returns:
        The predictions; None if the run is not finished, was tested on pairs, or is of an older version.

    Raises:
        UserError: a file that is damaged, too large, from a newer version, or not of the run's last test.
    """
    path, result = run.folder / FILE, run.evaluation()
    if result is None or not path.is_file():
        return None
    if path.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path} holds {path.stat().st_size:,} bytes, the limit is {_MAX_BYTES:,}")
    tensors, metadata = read_tensors(path)
    if set(tensors) != {"labels", "test", "test_last"}:
        raise UserError(f"{path} must hold labels, test and test_last, got {', '.join(sorted(tensors)) or 'nothing'}")
    predictions = Predictions(tensors["labels"].long(), tensors[split].long(), _read_files(metadata, path))
    _check(predictions, result["test"] if split == "test" else result["test_last"], path)
    return predictions


def _read_files(metadata: dict[str, str], path: Path) -> str:
    try:
        values = json.loads(metadata.get("capsnet_predictions", ""))
        version, files = values["format_version"], values["files"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path} does not hold the predictions of a capsnet run") from None
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise UserError(f"{path} is from a newer capsnet (format {version}); upgrade capsnet")
    return str(files)


def _check(predictions: Predictions, result: SplitResult, path: Path) -> None:
    """Check that the predictions give the confusion matrix of `evaluation.json`."""
    labels, predicted, classes = predictions.labels, predictions.predicted, len(result["confusion"])
    same = labels.shape == predicted.shape == (result["n"],) and max(int(labels.max()), int(predicted.max())) < classes
    if same and min(int(labels.min()), int(predicted.min())) >= 0:
        counts = torch.bincount(labels * classes + predicted, minlength=classes * classes)
        if counts.view(classes, classes).tolist() == result["confusion"]:
            return
    raise UserError(f"{path} does not belong to evaluation.json beside it: test the run again with its weights")

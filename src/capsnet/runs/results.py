"""What `evaluation.json` holds: the results of a run."""

from pathlib import Path
from typing import NotRequired, TypedDict

from capsnet.errors import UserError
from capsnet.runs.metrics import read_metrics
from capsnet.runs.typed import read_json, read_typed


class FileResult(TypedDict):
    """The prediction for an image file: indices of the true and the predicted class, and all lengths."""

    file: str
    label: int
    prediction: int
    lengths: list[float]


class SplitResult(TypedDict):
    """Results on a split: the output of `capsnet evaluate --json`; `evaluation.json` lists only `mistakes`."""

    data: str
    split: str
    n: int
    accuracy: float
    error_percent: float
    margin_loss: float
    reconstruction_mse: float | None
    confusion: list[list[int]]
    balanced_accuracy: NotRequired[float]
    digit_error_percent: NotRequired[float]
    samples: NotRequired[str]
    originals: NotRequired[int]
    class_names: NotRequired[list[str]]
    files: NotRequired[list[FileResult]]
    mistakes: NotRequired[list[FileResult]]


class ValidationResult(TypedDict):
    """Results of the best weights on the validation images."""

    n: int
    accuracy: float
    margin_loss: float


class RunResult(TypedDict):
    """The contents of `evaluation.json`: the best and the last weights on the test split, and the training."""

    test: SplitResult
    test_last: SplitResult
    validation: NotRequired[ValidationResult]
    best_step: int
    step: int
    parameters: NotRequired[int]
    decoder_parameters: NotRequired[int]
    seconds: float
    images_per_second: float


class MaskClassResult(TypedDict):
    """Overlap of a class's predicted and true masks, all images of the split pooled.

    `pixel_error` is the share of pixels that are in one of the two masks only, `share` that of the true mask.
    """

    class_name: str
    dice: float
    iou: float
    pixel_error: NotRequired[float]
    share: NotRequired[float]


class MaskFileResult(TypedDict):
    """The Dice coefficient of an image, all classes pooled."""

    file: str
    dice: float


class MaskSplitResult(TypedDict):
    """Results of a segmentation model on a split: Dice and IoU are means over images, all classes pooled.

    `pixel_error` is the share of pixels whose classes are not exactly the true ones. `files` is in the output of
    `capsnet evaluate --json` only.
    """

    data: str
    split: str
    n: int
    dice: float
    iou: float
    pixel_error: NotRequired[float]
    loss: float
    classes: list[MaskClassResult]
    files: NotRequired[list[MaskFileResult]]


class MaskValidationResult(TypedDict):
    """Results of the best weights on the validation images."""

    n: int
    dice: float
    loss: float


class MaskRunResult(TypedDict):
    """The contents of `evaluation.json` of a run that trained a segmentation model."""

    test: MaskSplitResult
    test_last: MaskSplitResult
    validation: NotRequired[MaskValidationResult]
    best_step: int
    step: int
    parameters: int
    decoder_parameters: int
    seconds: float
    images_per_second: float


def read_mask_result(run_folder: Path) -> MaskRunResult | None:
    """The results of a run that trained a segmentation model; None before its end.

    If a run was extended after its test, the old test is not its result: its step is not the last of the metrics.

    Raises:
        UserError: the file is damaged, or the run does not segment images.
    """
    path, metrics = run_folder / "evaluation.json", run_folder / "metrics.csv"
    if not path.is_file():
        return None
    result: MaskRunResult = read_typed(path, MaskRunResult)
    rows = read_metrics(metrics) if metrics.is_file() else []
    return None if rows and rows[-1]["step"] != result["step"] else result


def describe_masks(result: MaskRunResult) -> list[str]:
    """Lines of text: the test result, and that of each class."""
    test = result["test"]
    images = "1 image" if test["n"] == 1 else f"{test['n']:,} images"
    means = f"test Dice {100 * test['dice']:.2f} %, IoU {100 * test['iou']:.2f} %, mean of {images}"
    return [means, *(f"  {row['class_name']}: Dice {100 * row['dice']:.2f} %" for row in test["classes"])]


def refuse_masks(path: Path) -> None:
    """Refuse the results of a segmentation model where those of a classification are needed.

    Args:
        path: of `evaluation.json`.

    Raises:
        UserError: it holds Dice coefficients, or is no JSON.
    """
    result = read_json(path)
    test = result.get("test") if isinstance(result, dict) else None
    if isinstance(test, dict) and "dice" in test:
        raise UserError(
            f"{path.parent} is a run that segments images, this is for runs that classify: draw its masks with capsnet "
            f"figures {path.parent}; in Python, capsnet.runs.results.read_mask_result reads its results"
        )

"""The result of an evaluation: counts, shares, and the prediction for each file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt

from capsnet.inference.predictions import Predictions
from capsnet.runs.folder import FileResult, SplitResult

# class imbalance above this factor makes accuracy misleading
_UNEVEN = 3


@dataclass(frozen=True)
class Evaluation:
    """Results of a model on a split.

    Args:
        data: name of the data set.
        split: `"train"`, `"validation"` or `"test"`; `"all"` of a folder that the model was not trained on.
        n: number of images.
        accuracy: share of images whose longest capsule is that of their class.
        margin_loss: mean over the images of the loss that the model was trained with.
        reconstruction_mse: mean squared error of a pixel, decoded from the longest capsule; None without a decoder.
        confusion: rows are true classes, columns predicted ones.
        digit_error_percent: error rate over single digits, in percent; pairs only.
        class_names: class names of the rows and columns of `confusion`; None in results of older versions.
        files: the prediction for each image file; None if images are not files.
        predictions: true and predicted class of every image; None for pairs, and in a result read from a file.
        samples: what n counts if it is no pairs: images, recordings or series.
        originals: number of images that the n were made from, if several were made of each (affNIST, or several pairs
            of each digit in MultiMNIST); None: one of each.

    For pairs, n counts pairs, and accuracy is the share of pairs with both digits predicted (exact pairs). The
    reconstruction error is that of each digit, decoded from its own capsule. Confusion counts single digits, two for
    each pair.
    """

    data: str
    split: str
    n: int
    accuracy: float
    margin_loss: float
    reconstruction_mse: float | None
    confusion: list[list[int]]
    digit_error_percent: float | None = None
    class_names: tuple[str, ...] | None = None
    files: tuple[FileResult, ...] | None = None
    predictions: Predictions | None = field(default=None, compare=False, repr=False)
    samples: str = field(default="images", compare=False)
    originals: int | None = None

    @property
    def error_percent(self) -> float:
        """Share of misclassified images, or pairs, in percent."""
        return 100 * (1 - self.accuracy)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over the classes that have images; for pairs, over single digits."""
        rows = [(row[label], sum(row)) for label, row in enumerate(self.confusion)]
        recalls = [correct / count for correct, count in rows if count]
        return sum(recalls) / len(recalls) if recalls else 0.0

    @property
    def is_uneven(self) -> bool:
        """Whether the largest class has more than three times the images of the smallest class with images."""
        return is_uneven([sum(row) for row in self.confusion])

    @property
    def noun(self) -> str:
        """What n counts: images or pairs, recordings or series."""
        return self.samples if self.digit_error_percent is None else "pairs"

    @property
    def error_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the error in percent.

        Variants of one image are no independent images: the interval is that of as many images as there are originals,
        which is wider than the true one rather than narrower.
        """
        return wilson_interval(1 - self.accuracy, min(self.n, self.originals or self.n))

    @property
    def mistakes(self) -> tuple[FileResult, ...] | None:
        """The files that were classified incorrectly; None if images are not files."""
        return None if self.files is None else tuple(row for row in self.files if row["label"] != row["prediction"])

    @classmethod
    def from_dict(cls, values: SplitResult) -> "Evaluation":
        """Read the result of `to_dict` or `to_record`; a record lists no files."""
        names, files = values.get("class_names"), values.get("files")
        return cls(
            data=values["data"],
            split=values["split"],
            n=values["n"],
            accuracy=values["accuracy"],
            margin_loss=values["margin_loss"],
            reconstruction_mse=values["reconstruction_mse"],
            confusion=values["confusion"],
            digit_error_percent=values.get("digit_error_percent"),
            class_names=None if names is None else tuple(names),
            files=None if files is None else tuple(files),
            samples=values.get("samples", "images"),
            originals=values.get("originals"),
        )

    def to_dict(self) -> SplitResult:
        """The object that `capsnet evaluate --json` prints."""
        values: SplitResult = {
            "data": self.data,
            "split": self.split,
            "n": self.n,
            "accuracy": self.accuracy,
            "error_percent": round(self.error_percent, 6),
            "margin_loss": self.margin_loss,
            "reconstruction_mse": self.reconstruction_mse,
            "confusion": self.confusion,
            "balanced_accuracy": self.balanced_accuracy,
        }
        if self.digit_error_percent is not None:
            values["digit_error_percent"] = self.digit_error_percent
        if self.samples != "images":
            values["samples"] = self.samples
        if self.originals is not None:
            values["originals"] = self.originals
        if self.class_names is not None and (self.files is not None or self.samples == "series"):
            values["class_names"] = list(self.class_names)
        if self.class_names is not None and self.files is not None:
            values["files"] = list(self.files)
        return values

    def to_record(self) -> SplitResult:
        """The contents of a run's `evaluation.json`; of the files, only the mistakes."""
        values, mistakes = self.to_dict(), self.mistakes
        if mistakes is not None:
            del values["files"]
            values["mistakes"] = list(mistakes)
        return values


def is_uneven(counts: Sequence[int]) -> bool:
    """Whether one class has more than three times the images of another; classes without images do not count."""
    present = [count for count in counts if count]
    return bool(present) and max(present) > _UNEVEN * min(present)


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval, in percent, of a share of n images.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    z = 1.959964
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n**2))
    return 100 * max(centre - half, 0.0), 100 * min(centre + half, 1.0)

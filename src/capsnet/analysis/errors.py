"""Misclassified images, and capsule length as a confidence score."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import torch
from jaxtyping import Float, Int
from torch import Tensor

from capsnet.analysis.registry import ANALYSES, Analysis
from capsnet.analysis.statistics import Share, auroc, rounded, wilson
from capsnet.analysis.watch import find_lengths, view
from capsnet.data import ImageData
from capsnet.models import CapsuleModel


class Mistake(TypedDict):
    """One image.

    Args:
        index: among the evaluated images.
        label: true class.
        predicted: class of the longest capsule.
        other: the predicted class if that is wrong, otherwise the class of the second longest capsule.
        length: of the true class's capsule.
        other_length: of the other class's capsule.
        file: of the image, where images are files.
    """

    index: int
    label: int
    predicted: int
    other: int
    length: float
    other_length: float
    file: NotRequired[str]


class ErrorResults(TypedDict):
    """Misclassified and doubtful images.

    Args:
        wrong: share of misclassified images.
        second: of the misclassified images, those whose true class is among the two longest; None without one.
        surer_when_right: AUROC of the longest capsule's length as a confidence score; None where all images are
            correct or all incorrect.
        right_longest: mean length of the longest capsule over correct images; None without one.
        wrong_longest: the same over misclassified images.
        mistakes: misclassified images, those with the largest gap to the true class first.
        doubtful: correct images with the smallest gap to the second capsule, the smallest first.
    """

    wrong: Share
    second: Share | None
    surer_when_right: float | None
    right_longest: float | None
    wrong_longest: float | None
    mistakes: list[Mistake]
    doubtful: list[Mistake]


def find_errors(
    lengths: Float[Tensor, "m n"], labels: Int[Tensor, " m"], *, files: Sequence[str] | None = None, most: int = 100
) -> ErrorResults:
    """List misclassified and doubtful images.

    Args:
        lengths: of the class capsules.
        labels: true classes.
        files: the file of each image, or None.
        most: maximum length of each list.

    Shapes:
        lengths `m n`, labels `m`.
    """
    longest, predicted = lengths.max(dim=1)
    true = lengths.gather(1, labels[:, None])[:, 0]
    correct = predicted == labels
    others = lengths.scatter(1, labels[:, None], -1.0)
    rank = (lengths > true[:, None]).sum(dim=1)
    wrong_indices = (~correct).nonzero()[:, 0]
    surest = wrong_indices[(longest - true)[wrong_indices].argsort(descending=True, stable=True)]
    right_indices = correct.nonzero()[:, 0]
    closest = right_indices[(true - others.amax(dim=1))[right_indices].argsort(stable=True)]

    def describe(indices: Tensor, other: Tensor) -> list[Mistake]:
        chosen = indices[:most]
        classes = torch.stack([labels, predicted, other], dim=1)[chosen].tolist()
        own, others = rounded(true[chosen]), rounded(lengths[chosen, other[chosen]])
        rows: list[Mistake] = [
            {"index": index, "label": label, "predicted": guess, "other": second, "length": own, "other_length": length}
            for index, (label, guess, second), own, length in zip(chosen.tolist(), classes, own, others, strict=True)
        ]
        if files is not None:
            for row in rows:
                row["file"] = files[row["index"]]
        return rows

    wrong, count = len(wrong_indices), len(labels)
    both = 0 < wrong < count
    return {
        "wrong": wilson(wrong, count),
        "second": wilson(int((rank[wrong_indices] <= 1).sum()), wrong) if wrong else None,
        "surer_when_right": auroc(longest[correct], longest[~correct]) if both else None,
        "right_longest": float(longest[correct].mean()) if wrong < count else None,
        "wrong_longest": float(longest[~correct].mean()) if wrong else None,
        "mistakes": describe(surest, predicted),
        "doubtful": describe(closest, others.argmax(dim=1)) if lengths.shape[1] > 1 else [],
    }


def measure_errors(model: CapsuleModel, data: ImageData, *, most: int = 100) -> ErrorResults:
    """Find the images that a model misclassifies.

    Args:
        model: in eval mode.
        data: images.
        most: maximum length of the lists of misclassified and of doubtful images.
    """
    return find_errors(find_lengths(model, view(model, data)), data.labels, files=data.files, most=most)


def say_errors(results: ErrorResults) -> str:
    """Summarise the results in a sentence or two."""
    wrong = results["wrong"]
    text = (
        f"{wrong['count']:,} of {wrong['n']:,} images are misclassified ({100 * wrong['share']:.2f} %, 95 % interval "
        f"{100 * wrong['low']:.2f} to {100 * wrong['high']:.2f} %)."
    )
    second, longer = results["second"], results["wrong_longest"]
    if second is not None and longer is not None:
        text += f" In {second['count']:,} of them the true class is second; the longest capsule has length {longer:.2f}"
        if results["right_longest"] is not None:
            text += f" on average, {results['right_longest']:.2f} where the prediction is correct"
        text += "."
    if results["surer_when_right"] is not None:
        text += (
            f" The AUROC of the longest capsule's length as a confidence score is {results['surer_when_right']:.2f}."
        )
    return text


ANALYSES.add(
    "errors",
    Analysis(
        "Mistakes",
        measure_errors,
        say_errors,
        "A few mistakes show what is hard, not how often it occurs in general. An image with a doubtful label still "
        "counts as a mistake.",
        images=10_000,
        quick_images=400,
        settings={"most": 100},
    ),
)

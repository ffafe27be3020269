"""Which images are wrong, how sure the network was, and whether the length of a capsule tells."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

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
        index: its place among the images that were looked at.
        label: true class.
        predicted: class of the longest capsule.
        length: of the true class's capsule.
        longest: of the predicted class's capsule.
        file: of the image, where images are files.
    """

    index: int
    label: int
    predicted: int
    length: float
    longest: float
    file: NotRequired[str]


class ErrorResults(TypedDict):
    """What is wrong, and how surely.

    Args:
        wrong: share of wrong images.
        second: of the wrong images, those whose true class is second; None without a wrong image.
        surer_when_right: chance that a right image has a longer winner than a wrong one; None where one is missing.
        right_longest: mean length of the winner of right images; None without one.
        wrong_longest: the same of wrong images.
        mistakes: wrong images, the surest first.
        doubtful: right images whose second capsule comes closest, the closest first.
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
    """Sort the wrong and the doubtful images out of all.

    Args:
        lengths: of the class capsules.
        labels: true classes.
        files: the file of each image, or None.
        most: how many of each are listed.
    """
    longest, predicted = lengths.max(dim=1)
    true = lengths.gather(1, labels[:, None])[:, 0]
    right = predicted == labels
    others = lengths.scatter(1, labels[:, None], -1.0)
    rank = (lengths > true[:, None]).sum(dim=1)
    wrong_places = (~right).nonzero()[:, 0]
    surest = wrong_places[(longest - true)[wrong_places].argsort(descending=True, stable=True)]
    right_places = right.nonzero()[:, 0]
    closest = right_places[(true - others.amax(dim=1))[right_places].argsort(stable=True)]

    def describe(places: Tensor, said: Tensor) -> list[Mistake]:
        chosen = places[:most]
        columns = (
            chosen.tolist(),
            labels[chosen].tolist(),
            said[chosen].tolist(),
            rounded(true[chosen]),
            rounded(lengths[chosen, said[chosen]]),
        )
        rows: list[Mistake] = [
            {"index": index, "label": label, "predicted": guess, "length": length, "longest": best}
            for index, label, guess, length, best in zip(*columns, strict=True)
        ]
        if files is not None:
            for row in rows:
                row["file"] = files[row["index"]]
        return rows

    wrong, count = len(wrong_places), len(labels)
    both = 0 < wrong < count
    return {
        "wrong": wilson(wrong, count),
        "second": wilson(int((rank[wrong_places] == 1).sum()), wrong) if wrong else None,
        "surer_when_right": auroc(longest[right], longest[~right]) if both else None,
        "right_longest": float(longest[right].mean()) if wrong < count else None,
        "wrong_longest": float(longest[~right].mean()) if wrong else None,
        "mistakes": describe(surest, predicted),
        # of a right image, the class that comes second is what it was nearly taken for
        "doubtful": describe(closest, others.argmax(dim=1)) if lengths.shape[1] > 1 else [],
    }


def measure_errors(model: CapsuleModel, data: ImageData, *, most: int = 100) -> ErrorResults:
    """Find the images that a model gets wrong.

    Args:
        model: in eval mode.
        data: images.
        most: how many wrong and doubtful images are listed.
    """
    return find_errors(find_lengths(model, view(model, data)), data.labels, files=data.files, most=most)


def say_errors(found: ErrorResults) -> str:
    """The numbers in words."""
    wrong = found["wrong"]
    text = (
        f"{wrong['count']:,} of {wrong['n']:,} images are wrong ({100 * wrong['share']:.2f} %, 95 % interval "
        f"{100 * wrong['low']:.2f} to {100 * wrong['high']:.2f} %)."
    )
    second, longer = found["second"], found["wrong_longest"]
    if second is not None and longer is not None:
        text += f" In {second['count']:,} of them the true class is second; the length of the winner is {longer:.2f}"
        if found["right_longest"] is not None:
            text += f" on average, {found['right_longest']:.2f} where the answer is correct"
        text += "."
    if found["surer_when_right"] is not None:
        text += (
            f" Of all pairs of a right and a wrong image, the right one has the longer winner in "
            f"{100 * found['surer_when_right']:.0f} %."
        )
    return text


ANALYSES.add(
    "errors",
    Analysis(
        "Mistakes",
        measure_errors,
        say_errors,
        "A handful of mistakes shows what is hard, not how often it happens in general. An image whose label looks "
        "wrong is still counted as a mistake here.",
        images=10_000,
        quick_images=400,
        settings={"most": 100},
    ),
)

"""Predictions, and the limits beyond which they are unsure. Free of PyTorch: exported models use it, too.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017: length as the presence of a class (section 2),
reconstruction from the longest capsule (section 4.1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NO_DIGIT = "no digit found, the image is uniform"
NOT_FINITE = "the network's answer is not finite (NaN or infinity); train it again or choose another"
REASONS = {
    "pieces": "several pieces of ink",
    "length": "no capsule is long",
    "gap": "a second capsule is nearly as long",
    "error": "a poor reconstruction",
}
"""Why a prediction is unsure, by the limit of `Doubt` that it exceeds."""


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for an image.

    Args:
        label: class of the longest capsule; None if the image holds no digit.
        class_name: its name.
        length: of the longest capsule.
        lengths: of all class capsules.
        unsure: whether the prediction is unreliable; None for a model without measured limits (`Doubt`).
        reasons: why it is unsure.
        file: where the image came from; None for an image in memory.
        labels: classes of the two longest capsules; None unless the model was trained on pairs, and if the image holds
            no digit.
        poses: of all class capsules; None unless requested.
    """

    label: int | None
    class_name: str | None
    length: float
    lengths: tuple[float, ...]
    unsure: bool | None = None
    reasons: tuple[str, ...] = ()
    file: str | None = None
    labels: tuple[int, ...] | None = None
    poses: tuple[tuple[float, ...], ...] | None = None


@dataclass(frozen=True)
class Failure:
    """A file that could not be read.

    Args:
        file: its path.
        error: the reason, in one line.
    """

    file: str
    error: str


@dataclass(frozen=True)
class Doubt:
    """Limits beyond which a prediction is unsure, and how well they separate.

    They are measured on validation images and stored with a model's weights.

    Args:
        length: smallest length of the longest class capsule.
        gap: smallest difference between the longest and the second longest.
        error: largest reconstruction error of the longest capsule, as a share of the image's squared pixels; None
            for a model without decoder.
        patch_error: largest difference of mean grey between the reconstruction and the image in any window of
            5/28 of the image's side, in units of white; None for a model without decoder.
        pieces: largest number of separate pieces of ink; None if images are not prepared as digits.
        images: number of validation images that the limits were measured on.
        passed: share of them that is not unsure.
        marked: for other groups of images, by name, the share that is unsure.
    """

    length: float
    gap: float
    error: float | None
    patch_error: float | None
    pieces: int | None
    images: int
    passed: float
    marked: Mapping[str, float] = field(default_factory=dict)

    def describe(self) -> list[str]:
        """Sentences on how many images pass and how many of other groups are marked as unsure."""
        lines = [
            f"Of {self.images:,} validation images {100 * self.passed:.1f} % pass; the others are marked as unsure."
        ]
        lines += [f"Of {group} {100 * share:.0f} % are marked as unsure." for group, share in self.marked.items()]
        return lines

    def reasons(
        self,
        length: float,
        gap: float,
        error: float | None = None,
        patch_error: float | None = None,
        pieces: int | None = None,
    ) -> tuple[str, ...]:
        """The reasons why a prediction is unsure; empty if it is sure.

        Args:
            length: of the longest capsule.
            gap: its difference to the second longest.
            error: of its reconstruction, as `self.error`; None without a decoder.
            patch_error: of its reconstruction, as `self.patch_error`; None without a decoder.
            pieces: number of separate pieces of ink; None if they were not counted.
        """
        exceeded = {
            "pieces": _above(pieces, self.pieces),
            # of NaN every comparison is false
            "length": not length >= self.length,
            "gap": not gap >= self.gap,
            "error": _above(error, self.error) or _above(patch_error, self.patch_error),
        }
        return tuple(reason for signal, reason in REASONS.items() if exceeded[signal])


def _above(value: float | int | None, limit: float | int | None) -> bool:
    return value is not None and limit is not None and not value <= limit


def make_prediction(
    names: Sequence[str],
    lengths: Sequence[float],
    *,
    pairs: bool = False,
    pieces: int | None = None,
    reasons: tuple[str, ...] | None = None,
    poses: Sequence[Sequence[float]] | None = None,
    file: str | None = None,
) -> Prediction:
    """Make the prediction of an image from the lengths of its class capsules.

    Args:
        names: of the classes.
        lengths: of the class capsules.
        pairs: whether the model was trained on pairs.
        pieces: number of separate pieces of ink; 0: the image holds no digit, None: they were not counted.
        reasons: why the prediction is unsure; None for a model without measured limits.
        poses: of the class capsules.
        file: where the image came from.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    label: int | None = order[0]
    if pieces == 0:
        label, reasons = None, None if reasons is None else (NO_DIGIT,)
    return Prediction(
        label=label,
        class_name=None if label is None else names[label],
        length=lengths[order[0]],
        lengths=tuple(lengths),
        unsure=None if reasons is None else bool(reasons),
        reasons=reasons or (),
        file=file,
        labels=tuple(order[:2]) if pairs and label is not None else None,
        poses=None if poses is None else tuple(tuple(pose) for pose in poses),
    )

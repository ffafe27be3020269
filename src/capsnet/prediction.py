"""What a trained model answers to an image, and when the answer is unsure. No PyTorch: exported models answer alike.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017: length as the presence of a class (section 2),
reconstruction from the longest capsule (section 4.1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NO_DIGIT = "no digit found, the image is uniform"
REASONS = {
    "pieces": "several pieces of ink",
    "length": "no capsule is long",
    "gap": "a second capsule is nearly as long",
    "error": "a poor reconstruction",
}
"""Why an answer is unsure, by the limit of `Doubt` that it is beyond."""


@dataclass(frozen=True)
class Prediction:
    """A model's answer to an image.

    Args:
        label: class of the longest capsule; None where no digit was found in the image.
        class_name: its name.
        length: of the longest capsule.
        lengths: of all class capsules.
        unsure: whether the answer may not be relied on; None for a model without measured limits (`Doubt`).
        reasons: why it is unsure, in words.
        file: where the image came from; None for an image in memory.
        labels: the classes of the two longest capsules, of a model that was trained on pairs.
        poses: of all class capsules; None unless they were wanted.
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
        error: what is wrong with it, in one line.
    """

    file: str
    error: str


@dataclass(frozen=True)
class Doubt:
    """Limits beyond which an answer is unsure, and how well they separate.

    They were measured on validation images, and are stored with a model's weights.

    Args:
        length: the least length of the longest class capsule.
        gap: the least difference between the longest and the second longest.
        error: the largest reconstruction error of the longest capsule, as a share of the image's squared pixels; None
            for a model without decoder.
        patch_error: the largest difference of mean grey between the reconstruction and the image in any window of a
            sixth of the image's side, in units of white; None for a model without decoder.
        pieces: the most pieces of ink side by side; None where images are not prepared as digits.
        images: number of validation images that the limits were measured on.
        passed: share of them that is not unsure.
        marked: share of other images that is unsure, by what they show.
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
        """Sentences for a person: how many images pass, and what is marked as unsure."""
        lines = [
            f"Of {self.images:,} validation images {100 * self.passed:.1f} % pass; the others are marked as unsure."
        ]
        lines += [f"Of {kind} {100 * share:.0f} % are marked as unsure." for kind, share in self.marked.items()]
        return lines

    def reasons(
        self,
        length: float,
        gap: float,
        error: float | None = None,
        patch_error: float | None = None,
        pieces: int | None = None,
    ) -> tuple[str, ...]:
        """Why an answer is unsure, in words; nothing if it is sure.

        Args:
            length: of the longest capsule.
            gap: its difference to the second longest.
            error: of its reconstruction, as `self.error`; None without a decoder.
            patch_error: of its reconstruction, as `self.patch_error`; None without a decoder.
            pieces: of ink side by side; None where they were not counted.
        """
        holds = {
            "pieces": _above(pieces, self.pieces),
            "length": length < self.length,
            "gap": gap < self.gap,
            "error": _above(error, self.error) or _above(patch_error, self.patch_error),
        }
        return tuple(reason for signal, reason in REASONS.items() if holds[signal])


def _above(value: float | int | None, limit: float | int | None) -> bool:
    return value is not None and limit is not None and value > limit


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
        pairs: whether the model was trained on pairs of things.
        pieces: of ink side by side in the image; 0: it holds no digit, None: they were not counted.
        reasons: why the answer is unsure; None for a model without measured limits.
        poses: of the class capsules, to keep.
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
        labels=tuple(order[:2]) if pairs else None,
        poses=None if poses is None else tuple(tuple(pose) for pose in poses),
    )

"""When a model's answer is unsure: limits that were measured on validation images, stored with its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Doubt:
    """Limits beyond which an answer is unsure, and how well they separate.

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

"""Reconstruction error of a decoder, compared with the mean image as a baseline."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Fidelity:
    """Reconstruction error of a decoder, and of the mean image as a baseline.

    Args:
        error: mean squared pixel error (pixels in [0, 1]) of the reconstructions.
        mean_error: the same for the mean image.
        count: number of images.
    """

    error: float
    mean_error: float
    count: int

    @property
    def ratio(self) -> float:
        """Error relative to the mean image's; 1 or more is no better than the baseline."""
        return self.error / max(self.mean_error, 1e-12)

    @property
    def words(self) -> str:
        """The comparison in a sentence."""
        verdict = (
            "close to the images"
            if self.ratio < 0.5
            else "rough"
            if self.ratio < 0.9
            else "hardly better than the mean image"
            if self.ratio < 1
            else "no better than the mean image"
        )
        return (
            f"Mean squared pixel error {self.error:.4f}, against {self.mean_error:.4f} for the mean of these "
            f"{self.count:,} images: the reconstructions are {verdict}."
        )


def compare_with_mean(images: Float[Tensor, "m c h w"], drawn: Float[Tensor, "m c h w"]) -> Fidelity:
    """Compare reconstructions with the mean of the images, all in [0, 1]."""
    error = float((drawn - images).square().mean())
    return Fidelity(error, float((images - images.mean(dim=0)).square().mean()), len(images))

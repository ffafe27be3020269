"""How well a decoder draws images: beside the mean image, which needs no capsule at all."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Fidelity:
    """How well a decoder draws images, beside what the mean of these images would give.

    Args:
        error: mean squared error of a pixel (0 to 1) of the reconstructions.
        mean_error: the same of the mean image in place of each reconstruction.
        count: number of images.
    """

    error: float
    mean_error: float
    count: int

    @property
    def ratio(self) -> float:
        """Error of the reconstructions as a share of the mean image's: 1 and more is no better than that."""
        return self.error / max(self.mean_error, 1e-12)

    @property
    def words(self) -> str:
        """The comparison in a sentence."""
        verdict = "close to the images" if self.ratio < 0.5 else "rough" if self.ratio < 0.9 else "no better than that"
        return (
            f"Mean squared pixel error {self.error:.4f}; drawing the mean of these {self.count:,} images each time "
            f"would give {self.mean_error:.4f}: the reconstructions are {verdict}."
        )


def compare_with_mean(images: Float[Tensor, "m c h w"], drawn: Float[Tensor, "m c h w"]) -> Fidelity:
    """Compare reconstructions with the mean of the images, all in [0, 1]."""
    error = float((drawn - images).square().mean())
    return Fidelity(error, float((images - images.mean(dim=0)).square().mean()), len(images))

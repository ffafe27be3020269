"""Accuracy on rotated, shifted, scaled and noisy images."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypedDict

import torch
from torch import Tensor

from capsnet.analysis.registry import ANALYSES, Analysis
from capsnet.analysis.statistics import Share, wilson
from capsnet.analysis.transforms import disturb, rotate, scale, shift
from capsnet.analysis.watch import find_lengths, view
from capsnet.data import ImageData
from capsnet.models import CapsuleModel


class Curve(TypedDict):
    """Accuracy over the strength of one change.

    Args:
        name: of the change.
        unit: of the values.
        neutral: the value that changes nothing.
        values: ascending.
        accuracy: at each value.
    """

    name: str
    unit: str
    neutral: float
    values: list[float]
    accuracy: list[Share]


class RobustnessCurves(TypedDict):
    """All curves, over the same images; `chance` is one over the number of classes."""

    clean: Share
    chance: float
    curves: list[Curve]


class Change(NamedTuple):
    """A way to change images.

    Args:
        apply: called with images, strength and generator.
        unit: of the strength.
        neutral: the strength that changes nothing.
    """

    apply: Callable[[Tensor, float, torch.Generator], Tensor]
    unit: str
    neutral: float


CHANGES: Mapping[str, Change] = {
    "rotation": Change(rotate, "degrees, left or right", 0.0),
    "shift": Change(shift, "pixels, one of four directions", 0.0),
    "scale": Change(scale, "times the size", 1.0),
    "noise": Change(disturb, "standard deviation (pixels from 0 to 1)", 0.0),
}


def change_images(name: str, images: Tensor, value: float, seed: int) -> Tensor:
    """Change images in [0, 1]; directions and noise are the same for the same seed at every strength.

    Args:
        name: one of `CHANGES`.
        images: `b c h w`.
        value: the strength.
        seed: of the random draws.
    """
    change = CHANGES[name]
    if value == change.neutral:
        return images
    return change.apply(images, value, torch.Generator().manual_seed(seed))


def measure_robustness(
    model: CapsuleModel,
    data: ImageData,
    *,
    rotation: Sequence[float] = (),
    shift: Sequence[float] = (),
    scale: Sequence[float] = (),
    noise: Sequence[float] = (),
    seed: int = 0,
) -> RobustnessCurves:
    """Measure accuracy at each strength of each change, over the same images.

    Args:
        model: in eval mode.
        data: images.
        rotation: degrees.
        shift: pixels of an image of side 28, scaled with the side of a larger image and rounded.
        scale: factors.
        noise: standard deviations.
        seed: of directions and noise.
    """
    images, n = view(model, data), len(data)
    step = max(1.0, min(images.shape[2:]) / 28)
    pixels = [float(round(step * value)) for value in shift]
    strengths = {"rotation": rotation, "shift": pixels, "scale": scale, "noise": noise}

    def count(changed: Tensor) -> Share:
        return wilson(int((find_lengths(model, changed).argmax(dim=1) == data.labels).sum()), n)

    clean = count(images)
    curves: list[Curve] = []
    for name, values in strengths.items():
        if not values:
            continue
        change = CHANGES[name]
        shares = [
            clean if value == change.neutral else count(change_images(name, images, value, seed)) for value in values
        ]
        curves.append(
            {
                "name": name,
                "unit": change.unit,
                "neutral": change.neutral,
                "values": [float(value) for value in values],
                "accuracy": shares,
            }
        )
    return {"clean": clean, "chance": 1 / len(data.class_names), "curves": curves}


def say_robustness(results: RobustnessCurves) -> str:
    """Summarise the results in a sentence or two."""
    clean = results["clean"]
    changes = []
    for curve in results["curves"]:
        value, share = _worst(curve)
        name = {"rotation": f"rotated by {value:g}°", "shift": f"shifted by {value:g} px"}.get(
            curve["name"],
            f"scaled by {value:g}" if curve["name"] == "scale" else f"with noise of {value:g}",
        )
        changes.append(f"{100 * share['share']:.0f} % ({100 * share['low']:.0f} to {100 * share['high']:.0f}) {name}")
    return (
        f"{100 * clean['share']:.1f} % of {clean['n']:,} unchanged images are correct "
        f"({100 * clean['low']:.1f} to {100 * clean['high']:.1f}); at worst {', '.join(changes)}."
    )


def _worst(curve: Curve) -> tuple[float, Share]:
    """The strength with the lowest accuracy."""
    pairs = zip(curve["values"], curve["accuracy"], strict=True)
    return min(pairs, key=lambda pair: pair[1]["share"])


ANALYSES.add(
    "robustness",
    Analysis(
        "Robustness",
        measure_robustness,
        say_robustness,
        "Curves hold for these changes and this data set. They show how this network generalises, not that capsules "
        "are the reason: compare with another network of the same accuracy on unchanged images, trained with the same "
        "shifts. After a large change, people may see another class, too.",
        images=500,
        quick_images=40,
        settings={
            "rotation": (0.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0),
            "shift": (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0),
            "scale": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5),
            "noise": (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
        },
        quick_settings={
            "rotation": (0.0, 15.0, 30.0, 60.0),
            "shift": (0.0, 2.0, 4.0, 6.0),
            "scale": (0.6, 0.8, 1.0, 1.2, 1.4),
            "noise": (0.0, 0.1, 0.3, 0.5),
        },
        draws=True,
    ),
)

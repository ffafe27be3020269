"""Capsule lengths: dead capsules, and how well lengths separate present from absent classes.

Dead capsules: Mitterreiter, Koch, Giesen, Laue, "Why Capsule Neural Networks Do Not Scale: Challenging the Dynamic
Parse-Tree Assumption", AAAI 2023.
"""

from typing import NotRequired, TypedDict

import torch

from capsnet.analysis.registry import ANALYSES, Analysis
from capsnet.analysis.statistics import Histogram, Share, histogram, rounded, wilson
from capsnet.analysis.watch import has_activations, watch
from capsnet.data import ImageData
from capsnet.errors import UserError
from capsnet.losses import LOSSES
from capsnet.models import CapsuleModel

_BINS = 40


class CapsuleStatistics(TypedDict):
    """Lengths of capsules over images.

    Args:
        threshold: a capsule that is never longer is dead.
        children: capsules below the classes; 0 where the model does not expose them or they have no activations.
        dead: number of dead children.
        largest: largest activation of each child over the images.
        means: mean activation of each child over the images.
        dead_classes: names of class capsules that are dead.
        present: lengths of the capsules of true classes.
        absent: lengths of all other class capsules.
        present_mean: mean of the former.
        absent_mean: mean of the latter; None for a single class.
        targets: lengths that the margin loss trains present and absent classes to, 0.9 and 0.1 in the paper; None with
            another loss.
        short: images whose true class is shorter than that.
        long: images in which another class is longer than that.
    """

    threshold: float
    children: int
    dead: int
    largest: list[float]
    means: list[float]
    dead_classes: list[str]
    present: Histogram
    absent: Histogram
    present_mean: float
    absent_mean: float | None
    targets: NotRequired[list[float] | None]
    short: Share | None
    long: Share | None


@torch.no_grad()
def measure_capsules(model: CapsuleModel, data: ImageData, *, threshold: float = 0.01) -> CapsuleStatistics:
    """Measure the lengths of a model's class capsules and of the children below them.

    Args:
        model: a capsule network.
        data: images.
        threshold: a capsule that is never longer is dead.

    Raises:
        UserError: the network has no capsules.
    """
    if model.loss == "cross-entropy":
        raise UserError("the model has no capsules: its outputs are the probabilities of a softmax")
    all_lengths, largest, total = [], None, None
    for batch in watch(model, data):
        all_lengths.append(batch.output.lengths.cpu())
        if batch.children is not None and has_activations(batch.children.activations):
            activations = batch.children.activations
            most, summed = activations.amax(dim=0), activations.double().sum(dim=0)
            largest = most if largest is None else torch.maximum(largest, most)
            total = summed if total is None else total + summed
    lengths = torch.cat(all_lengths)
    present = torch.nn.functional.one_hot(data.labels, lengths.shape[1]).bool()
    edges = torch.linspace(0, 1, _BINS + 1)
    absent_lengths = lengths[~present]
    dead_classes = (lengths.amax(dim=0) < threshold).nonzero()[:, 0].tolist()
    targets = LOSSES.get(model.loss).targets
    short = long = None
    if targets is not None:
        short = wilson(int((lengths[present] < targets[0]).sum()), len(data))
        long = wilson(int((lengths.masked_fill(present, 0.0) > targets[1]).any(dim=1).sum()), len(data))
    return {
        "threshold": threshold,
        "children": 0 if largest is None else len(largest),
        "dead": 0 if largest is None else int((largest < threshold).sum()),
        "largest": [] if largest is None else rounded(largest),
        "means": [] if total is None else rounded(total / len(data)),
        "dead_classes": [data.class_names[label] for label in dead_classes],
        "present": histogram(lengths[present], edges),
        "absent": histogram(absent_lengths, edges),
        "present_mean": float(lengths[present].mean()),
        "absent_mean": float(absent_lengths.mean()) if len(absent_lengths) else None,
        "targets": None if targets is None else list(targets),
        "short": short,
        "long": long,
    }


def say_capsules(results: CapsuleStatistics) -> str:
    """Summarise the results in a sentence or two."""
    text = ""
    if results["children"]:
        text = (
            f"{results['dead']:,} of {results['children']:,} capsules below the classes never get longer than "
            f"{results['threshold']:g} ({100 * results['dead'] / results['children']:.1f} % dead). "
        )
    text += f"The capsule of the true class is {results['present_mean']:.2f} long on average"
    if results["absent_mean"] is not None:
        text += f", the others {results['absent_mean']:.2f}"
    targets, short, long = results.get("targets"), results["short"], results["long"]
    if targets is not None and short is not None and long is not None:
        text += (
            f"; the margin loss trains the true class to {targets[0]:g}, which {100 * short['share']:.0f} % of the "
            f"images do not reach"
        )
        if results["absent_mean"] is not None:
            text += f", and the others to {targets[1]:g}, which another class exceeds in {100 * long['share']:.0f} %"
    text += "."
    if results["dead_classes"]:
        text += f" Class capsules that are never active: {', '.join(results['dead_classes'])}."
    return text


ANALYSES.add(
    "capsules",
    Analysis(
        "Capsule lengths",
        measure_capsules,
        say_capsules,
        "Dead means: never active on these images. Few images overstate the number of dead capsules, and a small "
        "length can still matter, as the transformation matrices may enlarge it. "
        "Lengths are not calibrated probabilities.",
        images=1000,
        quick_images=128,
        settings={"threshold": 0.01},
    ),
)

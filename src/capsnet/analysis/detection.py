"""Detection of adversarial and out-of-distribution images by reconstruction error.

Frosst, Sabour, Hinton, "DARCCC: Detecting Adversaries by Reconstruction from Class Conditional Capsules", 2018.
"""

from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.analysis.attacks import fgsm, pgd, random_signs
from capsnet.analysis.registry import ANALYSES, Analysis
from capsnet.analysis.statistics import Histogram, Share, auroc, histogram, wilson
from capsnet.analysis.watch import frozen, read, view
from capsnet.data import ImageData
from capsnet.errors import UserError
from capsnet.models import CapsuleModel

_BINS, _BATCH = 40, 32


class Suspects(TypedDict):
    """One group of images that should be flagged.

    Args:
        name: of the group.
        n: number of images; of attacked images, those that only the attack made incorrect.
        auroc: of the reconstruction error as a score.
        auroc_length: of the longest capsule's length as a score (shorter is more suspect), for comparison.
        noticed: share above the threshold.
        errors: their reconstruction errors.
        mean: of the errors.
    """

    name: str
    n: int
    auroc: float
    auroc_length: float
    noticed: Share
    errors: Histogram
    mean: float


class DetectionResults(TypedDict):
    """Reconstruction errors of clean images and of suspects.

    Args:
        threshold: error above which an image is flagged: the 95th percentile of the clean images.
        clean: errors of the clean images.
        clean_mean: mean error of the clean images.
        suspects: one entry for each group that has images.
        missing: groups without images: no attack succeeded.
    """

    threshold: float
    clean: Histogram
    clean_mean: float
    suspects: list[Suspects]
    missing: list[str]


class _Signals(TypedDict):
    errors: Tensor
    lengths: Tensor
    predicted: Tensor


def invert(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Swap dark and light."""
    return 1 - images


def shuffle(images: Float[Tensor, "b c h w"], generator: torch.Generator) -> Float[Tensor, "b c h w"]:
    """Permute the pixels, with a new permutation for each image."""
    height, width = images.shape[2:]
    order = torch.rand(len(images), height * width, generator=generator).argsort(dim=1).to(images.device)
    return images.flatten(2).gather(2, order[:, None].expand(-1, images.shape[1], -1)).reshape(images.shape)


@torch.no_grad()
def _measure_images(model: CapsuleModel, images: Tensor) -> _Signals:
    """Error of the reconstruction from the longest capsule (sum of squares), its length and class."""
    device, batches = model.device, []
    for batch in torch.split(images, _BATCH):
        output = read(model, batch.to(device))
        reconstruction = model.reconstruct(output.capsules).cpu()
        error = (reconstruction - batch).square().flatten(1).sum(dim=1)
        longest = output.lengths.max(dim=1)
        batches.append((error, longest.values.cpu(), longest.indices.cpu()))
    errors, lengths, predicted = (torch.cat(values) for values in zip(*batches, strict=True))
    return {"errors": errors, "lengths": lengths, "predicted": predicted}


def measure_detection(
    model: CapsuleModel, data: ImageData, *, epsilon: float = 0.1, steps: int = 10, seed: int = 0
) -> DetectionResults:
    """Compare reconstruction errors of clean, attacked and out-of-distribution images, and of noise.

    The error is taken from the changed image, to which an attack of `epsilon` alone adds up to its square for each
    pixel. Pixels changed by random signs of the same size show how much of a detection is due to that.

    Args:
        model: with a decoder.
        data: clean images.
        epsilon: of FGSM and PGD, by the cross-entropy, and of the random signs.
        steps: of PGD; 0 skips it.
        seed: of random starts, shuffled pixels and random signs.

    Raises:
        UserError: the model has no decoder.
    """
    if not model.has_decoder:
        raise UserError("the model has no decoder")
    images, generator = view(model, data), torch.Generator().manual_seed(seed)
    with frozen(model):
        clean = _measure_images(model, images)
        correct = clean["predicted"] == data.labels
        suspects = {"inverted": invert(images), "shuffled pixels": shuffle(images, generator)}
        suspects |= _attack(model, images, data.labels, epsilon, steps, generator)
        # the control: changed as much, but not towards another class
        suspects["random signs"] = random_signs(images, epsilon, generator)
        signals = {name: _measure_images(model, changed) for name, changed in suspects.items()}
    for name, values in signals.items():
        if name in ("FGSM", "PGD"):
            fooled = correct & (values["predicted"] != data.labels)
            signals[name] = {
                "errors": values["errors"][fooled],
                "lengths": values["lengths"][fooled],
                "predicted": fooled,
            }
    threshold = float(clean["errors"].double().quantile(0.95))
    everything = torch.cat([clean["errors"], *(values["errors"] for values in signals.values())]).clamp(min=1e-3)
    low, high = float(everything.min().log10()), float(everything.max().log10())
    edges = torch.logspace(low, max(high, low + 0.1), _BINS + 1)
    return {
        "threshold": threshold,
        "clean": histogram(clean["errors"], edges),
        "clean_mean": float(clean["errors"].mean()),
        "suspects": [
            {
                "name": name,
                "n": len(values["errors"]),
                "auroc": auroc(values["errors"], clean["errors"]),
                "auroc_length": auroc(-values["lengths"], -clean["lengths"]),
                "noticed": wilson(int((values["errors"] > threshold).sum()), len(values["errors"])),
                "errors": histogram(values["errors"], edges),
                "mean": float(values["errors"].mean()),
            }
            for name, values in signals.items()
            if len(values["errors"])
        ],
        "missing": [name for name, values in signals.items() if not len(values["errors"])],
    }


def _attack(
    model: CapsuleModel, images: Tensor, labels: Tensor, epsilon: float, steps: int, generator: torch.Generator
) -> dict[str, Tensor]:
    device = model.device
    attacked: dict[str, list[Tensor]] = {name: [] for name in (("FGSM", "PGD") if steps else ("FGSM",))}
    for pixels, classes in zip(torch.split(images, _BATCH), torch.split(labels, _BATCH), strict=True):
        inputs, targets = pixels.to(device), classes.to(device)
        attacked["FGSM"].append(fgsm(model, inputs, targets, epsilon, "cross-entropy").cpu())
        if steps:
            adversarial = pgd(model, inputs, targets, epsilon, "cross-entropy", steps=steps, generator=generator)
            attacked["PGD"].append(adversarial.cpu())
    return {name: torch.cat(batches) for name, batches in attacked.items()}


def say_detection(results: DetectionResults) -> str:
    """Summarise the results in a sentence or two."""
    scores = [
        f"{suspect['name']} {suspect['auroc']:.2f} (n = {suspect['n']:,}, {100 * suspect['noticed']['share']:.0f} % "
        f"noticed; by the length alone {suspect['auroc_length']:.2f})"
        for suspect in results["suspects"]
    ]
    text = (
        "Area under the ROC curve of the reconstruction error against clean images (0.5: chance, 1: "
        f"perfect): {', '.join(scores)}. Noticed: above an error that 5 % of the clean images exceed."
    )
    return text + (f" No image was fooled by {' or '.join(results['missing'])}." if results["missing"] else "")


ANALYSES.add(
    "detection",
    Analysis(
        "Detection",
        measure_detection,
        say_detection,
        "The attacks do not target the detector; one that also keeps the reconstruction error low would be noticed "
        "less. Random signs change the pixels as much as the attacks do: an attack that is detected no better than "
        "they are is noticed as noise. The threshold comes from the same clean images that it is compared with. "
        "Inverted and shuffled images are easy to detect; images of a similar data set are harder.",
        images=300,
        quick_images=40,
        settings={"epsilon": 0.1, "steps": 10},
        quick_settings={"epsilon": 0.3, "steps": 0},
        draws=True,
    ),
)

"""Samples of a class: a Gaussian fitted to the poses of its capsule, sampled and decoded."""

from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.analysis.registry import ANALYSES, Analysis
from capsnet.analysis.statistics import Share, rounded, wilson
from capsnet.analysis.watch import read
from capsnet.capsules import Capsules
from capsnet.data import ImageData
from capsnet.errors import UserError
from capsnet.inference.evaluate import predict_batches
from capsnet.models import CapsuleModel


class ClassGaussian(TypedDict):
    """The poses of one class.

    Args:
        label: the class.
        n: number of correctly classified images that it was fitted to.
        mean: of the poses.
        covariance: of the poses, unbiased.
        dimensions: number of principal directions that hold 95 % of the variance.
        recognised: decoded samples that the network classifies as the class.
    """

    label: int
    n: int
    mean: list[float]
    covariance: list[list[float]]
    dimensions: int
    recognised: Share


class SampleResults(TypedDict):
    """Gaussians of all classes with at least two images; `missing` names the others."""

    classes: list[ClassGaussian]
    missing: list[str]


def fit_gaussian(poses: Float[Tensor, "m d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Mean and unbiased covariance of at least two poses, in float64."""
    values = poses.double()
    return values.mean(dim=0), torch.cov(values.T).reshape(values.shape[1], values.shape[1])


def sample_gaussian(
    mean: Float[Tensor, " d"], covariance: Float[Tensor, "d d"], count: int, generator: torch.Generator
) -> Float[Tensor, "m d"]:
    """Draw poses; the covariance may be singular, for instance with fewer images than dimensions.

    Args:
        mean: of the poses.
        covariance: of the poses; symmetric, positive semidefinite.
        count: number of samples.
        generator: on the CPU.
    """
    values, vectors = torch.linalg.eigh(covariance.double().cpu())
    drawn = torch.randn(count, len(values), generator=generator, dtype=torch.float64)
    poses: Tensor = mean.double().cpu() + (drawn * values.clamp(min=0).sqrt()) @ vectors.T
    return poses


@torch.no_grad()
def decode(model: CapsuleModel, poses: Float[Tensor, "m d"], label: int, classes: int) -> Float[Tensor, "m c h w"]:
    """Decode poses of one class.

    Raises:
        UserError: the model has no decoder.
    """
    if not model.has_decoder:
        raise UserError("the model has no decoder")
    parameter = next(model.parameters())
    full = torch.zeros(len(poses), classes, poses.shape[1], device=parameter.device, dtype=parameter.dtype)
    full[:, label] = poses.to(full)
    labels = torch.full((len(poses),), label, device=parameter.device)
    images = model.reconstruct(Capsules(full, full.norm(dim=-1)), labels)
    return images.cpu()


@torch.no_grad()
def measure_samples(model: CapsuleModel, data: ImageData, *, samples: int = 50, seed: int = 0) -> SampleResults:
    """Fit a Gaussian to each class capsule's poses, sample and decode it, and classify the result.

    Args:
        model: with a decoder.
        data: training images.
        samples: number per class.
        seed: of the samples.

    Raises:
        UserError: the model has no decoder, or no class has two correctly classified images.
    """
    if not model.has_decoder:
        raise UserError("the model has no decoder")
    device, classes = model.device, len(data.class_names)
    poses: list[list[Tensor]] = [[] for _ in range(classes)]
    for _, labels, output in predict_batches(model, data, batch_size=64):
        correct = output.lengths.argmax(dim=1) == labels
        for label in set(labels[correct].tolist()):
            poses[label].append(output.capsules.poses[correct & (labels == label), label].cpu())
    generator = torch.Generator().manual_seed(seed)
    gaussians: list[ClassGaussian] = []
    for label, batches in enumerate(poses):
        members = torch.cat(batches) if batches else torch.empty(0, 1)
        if len(members) < 2:
            continue
        mean, covariance = fit_gaussian(members)
        images = decode(model, sample_gaussian(mean, covariance, samples, generator), label, classes)
        predicted = read(model, images.to(device)).lengths.argmax(dim=1)
        gaussians.append(
            {
                "label": label,
                "n": len(members),
                "mean": rounded(mean),
                "covariance": [rounded(row) for row in covariance],
                "dimensions": _dimensions(covariance),
                "recognised": wilson(int((predicted == label).sum()), samples),
            }
        )
    if not gaussians:
        raise UserError("no class has two correctly classified images to fit a Gaussian to")
    known = {item["label"] for item in gaussians}
    return {"classes": gaussians, "missing": [name for k, name in enumerate(data.class_names) if k not in known]}


def _dimensions(covariance: Float[Tensor, "d d"]) -> int:
    """How many principal directions hold 95 % of the variance."""
    shares = torch.linalg.eigvalsh(covariance).flip(0).clamp(min=0).cumsum(dim=0)
    return int((shares < 0.95 * shares[-1]).sum()) + 1


def say_samples(results: SampleResults) -> str:
    """Summarise the results in a sentence or two."""
    classes = results["classes"]
    read, drawn = (sum(item["recognised"][key] for item in classes) for key in ("count", "n"))
    counts = [item["n"] for item in classes]
    dimensions = sorted(item["dimensions"] for item in classes)
    text = (
        f"{read:,} of {drawn:,} sampled images ({100 * read / drawn:.0f} %) are classified as their class by the "
        f"network itself. Fitted to {min(counts):,} to {max(counts):,} images a class; 95 % of the variance of a pose "
        f"lies in {dimensions[0]} to {dimensions[-1]} directions of {len(classes[0]['mean'])}."
    )
    return text + (f" Without enough images: {', '.join(results['missing'])}." if results["missing"] else "")


ANALYSES.add(
    "samples",
    Analysis(
        "Samples",
        measure_samples,
        say_samples,
        "The pictures show what the decoder makes of typical poses. The same network classifies them, so "
        "recognition does not measure their quality, and a decoder that was trained only beside the classifier "
        "gives no likelihood of an image.",
        images=2000,
        quick_images=200,
        settings={"samples": 50},
        quick_settings={"samples": 10},
        split="train",
        draws=True,
    ),
)

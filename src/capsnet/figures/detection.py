"""Reconstruction errors of clean and suspect images, and how well they separate the two."""

from typing import cast

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from capsnet.analysis.attacks import fgsm
from capsnet.analysis.detection import DetectionResults, invert, shuffle
from capsnet.analysis.statistics import Histogram
from capsnet.analysis.watch import frozen, read, view
from capsnet.data import ImageData
from capsnet.figures.lines import log_axis
from capsnet.figures.style import BLUE, GREY, ORANGE, PALE, axes_at, new_figure, styled
from capsnet.figures.subject import Subject, add_figure
from capsnet.figures.tiles import show, to_tiles
from capsnet.models import CapsuleModel

_ROW = 0.5


@styled
def draw_detection(
    results: DetectionResults, model: CapsuleModel, data: ImageData, *, epsilon: float, seed: int
) -> Figure:
    """Draw the error distribution of each type of image, the detection AUROC, and one example of each type.

    Args:
        results: of the analysis.
        model: with a decoder.
        data: images; the first is shown.
        epsilon: of the attack.
        seed: for shuffling pixels.
    """
    suspects = results["suspects"]
    subtitle = (
        "Distance between an image and the reconstruction from its longest capsule. Dashed: threshold that 5 % of the "
        f"clean images exceed. Attacks change each pixel by at most {epsilon:g}; only images that they turned from "
        "correct to incorrect are included. Random signs: each pixel changed as much, at random; all images."
    )
    rows = 1 + len(suspects)
    body = rows * _ROW
    figure = new_figure(8.0, body + 2.9, "Adversarial detection by reconstruction error", subtitle)
    _draw_errors(axes_at(figure, 1.45, 2.35, 3.3, body), results)
    _draw_scores(axes_at(figure, 5.05, 2.35, 2.5, body), results)
    _draw_images(figure, model, data, epsilon, seed)
    return figure


def _draw_errors(axes: Axes, results: DetectionResults) -> None:
    """One histogram for each type of image, clean ones at the top."""
    rows: list[tuple[str, Histogram, str]] = [("clean", results["clean"], BLUE)]
    rows += [(f"{suspect['name']}\nn = {suspect['n']:,}", suspect["errors"], ORANGE) for suspect in results["suspects"]]
    for place, (_, counts, color) in enumerate(rows):
        heights = np.asarray(counts["counts"]) / max(counts["counts"])
        base = len(rows) - 1 - place
        axes.stairs(base + 0.85 * heights, counts["edges"], baseline=base, fill=True, color=color, alpha=0.85)
        axes.axhline(base, color=PALE, linewidth=0.8, zorder=0)
    edges = results["clean"]["edges"]
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.axvline(results["threshold"], color=GREY, linewidth=0.9, linestyle=(0, (3, 3)))
    axes.set_ylim(0, len(rows))
    axes.set_yticks([len(rows) - 0.65 - k for k in range(len(rows))], [name for name, _, _ in rows])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("sum of squared pixel differences", labelpad=1)
    log_axis(axes.xaxis, edges[0], edges[-1])
    axes.set_title("Reconstruction error", pad=8)


def _draw_scores(axes: Axes, results: DetectionResults) -> None:
    """AUROC for each type of suspect image, by reconstruction error and by capsule length."""
    suspects = results["suspects"]
    places = [len(suspects) - 0.65 - k for k in range(len(suspects))]
    for place, suspect in zip(places, suspects, strict=True):
        axes.plot([suspect["auroc_length"], suspect["auroc"]], [place, place], color=PALE, linewidth=2, zorder=1)
    axes.plot(
        [suspect["auroc_length"] for suspect in suspects],
        places,
        "D",
        color=GREY,
        markersize=5,
        label="length",
        zorder=2,
    )
    axes.plot(
        [suspect["auroc"] for suspect in suspects],
        places,
        "o",
        color=ORANGE,
        markersize=7,
        label="reconstruction",
        zorder=3,
    )
    for place, suspect in zip(places, suspects, strict=True):
        axes.annotate(
            f"{suspect['auroc']:.2f}",
            (suspect["auroc"], place),
            (0, 6),
            textcoords="offset points",
            ha="center",
            size=8.5,
            color=ORANGE,
            weight="bold",
        )
    axes.axvline(0.5, color=GREY, linewidth=0.9, linestyle=(0, (1, 2)), zorder=0)
    scores = [suspect[key] for suspect in suspects for key in ("auroc", "auroc_length")]
    axes.set_xlim(min(0.45, *scores) - 0.03, 1.03)
    axes.set_ylim(0, len(suspects) + 1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8.5, loc="upper left", ncols=2, bbox_to_anchor=(-0.03, 1.02), columnspacing=1.0)
    axes.set_title("Detection AUROC", pad=8)


def _draw_images(figure: Figure, model: CapsuleModel, data: ImageData, epsilon: float, seed: int) -> None:
    """One image, clean and modified, above its reconstructions."""
    device = model.device
    image, label = view(model, data)[:1], data.labels[:1]
    with frozen(model), torch.no_grad():
        attacked = fgsm(model, image.to(device), label.to(device), epsilon, "cross-entropy").cpu()
        shuffled = shuffle(image, torch.Generator().manual_seed(seed))
        shown = {"clean": image, "inverted": invert(image), "shuffled pixels": shuffled, "FGSM": attacked}
        images = torch.cat(list(shown.values()))
        output = read(model, images.to(device))
        drawn = model.reconstruct(output.capsules).cpu()
    errors = (drawn - images).square().flatten(1).sum(dim=1).tolist()
    above, below = to_tiles(images), to_tiles(drawn)
    tall = 0.72
    side = tall * image.shape[3] / image.shape[2]
    for place, name in enumerate(shown):
        left = 1.45 + place * 1.55
        for row, tiles in enumerate((above, below)):
            axes = axes_at(figure, left, 0.95 - row * (tall + 0.06), side, tall)
            show(axes, tiles[place], frame=True)
            if row == 0:
                axes.set_title(f"{name}: {errors[place]:.0f}", size=8.5, weight="normal", pad=4)
    total = figure.get_size_inches()[1]
    for row, text in enumerate(("image", "reconstruction")):
        figure.text(0.3 / 8.0, (1.31 - row * (tall + 0.06)) / total, text, size=8.5, va="center")


def _draw(subject: Subject) -> Figure:
    record = subject.record("detection")
    few = subject.images_of(record).select(torch.tensor([0]))
    epsilon = float(cast(float, record["settings"]["epsilon"]))
    results = cast(DetectionResults, record["results"])
    return draw_detection(results, subject.model, few, epsilon=epsilon, seed=record["seed"])


add_figure(
    "detection",
    _draw,
    caption="A reconstruction far from its image suggests that the prediction is unreliable. Grey: detection by the "
    "length of the longest capsule, without a decoder.",
    place=64,
)

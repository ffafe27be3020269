"""Accuracy under attack against epsilon, gradient-masking checks, and attacked images."""

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from capsnet.analysis.adversarial import AdversarialResults
from capsnet.analysis.attacks import fgsm, iterate
from capsnet.analysis.watch import frozen, read, view
from capsnet.data import ImageData
from capsnet.figures.style import BLUE, GREEN, GREY, INK, ORANGE, PAPER, SKY, axes_at, class_label, new_figure, styled
from capsnet.figures.subject import Subject, add_figure
from capsnet.figures.tiles import show, to_tiles
from capsnet.models import CapsuleModel

_COLORS: Mapping[str, str] = {"fgsm": SKY, "bim": GREEN, "pgd": BLUE, "random": GREY}
_MARKERS: Mapping[str, str] = {"fgsm": "o", "bim": "s", "pgd": "^", "random": "x"}


class Attack(NamedTuple):
    """The attack shown in the pictures, one of those evaluated."""

    name: str
    steps: int

    @property
    def words(self) -> str:
        """Its name, with the number of steps if iterative."""
        return self.name.upper() if self.name == "fgsm" else f"{self.name.upper()} with {self.steps} steps"


def choose_attack(results: AdversarialResults, steps: int) -> Attack:
    """BIM if it was evaluated, else FGSM. Not PGD: its random start would make the picture irreproducible."""
    return Attack("bim" if any(curve["attack"] == "bim" for curve in results["curves"]) else "fgsm", steps)


@styled
def draw_adversarial(results: AdversarialResults, model: CapsuleModel, data: ImageData, attack: Attack) -> Figure:
    """Draw accuracy under each attack, the checks, and one attacked image.

    Args:
        results: of the analysis.
        model: the attacked model.
        data: images; the first one that is classified correctly is shown.
        attack: for the pictures.
    """
    clean = results["clean"]
    subtitle = (
        f"Accuracy on {clean['n']:,} images when each pixel (0 to 1) changes by at most ε to increase the margin loss "
        "(dashed, open markers) or the cross-entropy of the lengths (solid). Band: 95 % interval (Wilson) for images "
        "that withstand all attacks drawn here."
    )
    figure = new_figure(8.0, 5.05, "Accuracy under adversarial attack", subtitle)
    _draw_curves(axes_at(figure, 0.75, 2.0, 3.35, 2.2), results)
    top = 5.03 / figure.get_size_inches()[1]
    figure.legend(loc="upper left", bbox_to_anchor=(0.024, top), ncols=4, frameon=False, fontsize=8.5, labelspacing=0.3)
    _draw_checks(axes_at(figure, 4.5, 2.0, 3.3, 2.2), results)
    _draw_images(figure, results, model, data, attack)
    return figure


def _draw_curves(axes: Axes, results: AdversarialResults) -> None:
    epsilons = [0.0, *results["epsilons"]]
    clean = 100 * results["clean"]["share"]
    worst = [results["clean"], *results["worst"]]
    low, high = ([100 * share[end] for share in worst] for end in ("low", "high"))
    axes.fill_between(epsilons, low, high, color=ORANGE, alpha=0.2, linewidth=0)
    for curve in results["curves"]:
        name = "random signs" if curve["attack"] == "random" else f"{curve['attack'].upper()}, {curve['loss']}"
        by_margin = curve["loss"] == "margin"
        axes.plot(
            epsilons,
            [clean, *(100 * share["share"] for share in curve["accuracy"])],
            color=_COLORS[curve["attack"]],
            linestyle=(0, (4, 2)) if by_margin else "-",
            marker=_MARKERS[curve["attack"]],
            markerfacecolor=PAPER if by_margin else _COLORS[curve["attack"]],
            markersize=4.5,
            linewidth=1.5,
            label=name,
        )
    axes.plot(epsilons, [100 * share["share"] for share in worst], color=ORANGE, linewidth=2, label="all of these")
    axes.axhline(100 * results["chance"], color=GREY, linewidth=0.9, linestyle=(0, (1, 2)), zorder=0)
    axes.set_ylim(0, 104)
    axes.set_xlim(0, epsilons[-1] * 1.02)
    axes.set_yticks([0, 25, 50, 75, 100])
    # labels of the smallest would overlap the zero
    ticks = [0.0, *(epsilon for epsilon in results["epsilons"] if epsilon > 0.1 * epsilons[-1])]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set_title("Accuracy, % (dotted: chance)", pad=8)
    axes.set_xlabel("ε, the largest change of a pixel", labelpad=2)


def _draw_checks(axes: Axes, results: AdversarialResults) -> None:
    axes.set_axis_off()
    axes.set_title("Gradient-masking checks", pad=8)
    checks = results["checks"]
    step = 1 / max(len(checks), 8)
    for place, check in enumerate(checks):
        height = 1 - (place + 0.5) * step
        color = GREEN if check["passed"] else ORANGE
        axes.text(
            0.0, height, "✓" if check["passed"] else "✗", size=10, color=color, weight="bold", va="center",
            transform=axes.transAxes,
        )  # fmt: skip
        name = _wrapped(check["name"])
        axes.text(0.06, height, name, size=8, color=INK, va="center", transform=axes.transAxes, linespacing=1.1)


def _wrapped(text: str) -> str:
    """Split a long text into two lines."""
    if len(text) <= 52:
        return text
    cut = text.rfind(" ", 0, 52)
    return f"{text[:cut]}\n{text[cut + 1 :]}"


def _draw_images(
    figure: Figure, results: AdversarialResults, model: CapsuleModel, data: ImageData, attack: Attack
) -> None:
    """One image attacked with each epsilon, and its predictions."""
    device = model.device
    images, labels = view(model, data).to(device), data.labels.to(device)
    epsilons = [0.0, *results["epsilons"]]
    with frozen(model), torch.no_grad():
        correct = (read(model, images).lengths.argmax(dim=1) == labels).nonzero()[:, 0]
        chosen = correct[:1] if len(correct) else torch.zeros(1, dtype=torch.long, device=device)
        image, label = images[chosen], labels[chosen]
        # one batch: a batch of one image costs nearly as much
        strengths = torch.tensor(epsilons, device=device)[:, None, None, None]
        repeated, truths = image.expand(len(epsilons), -1, -1, -1), label.expand(len(epsilons))
        if attack.name == "bim":
            moved = iterate(model, repeated, truths, strengths, "cross-entropy", steps=attack.steps)
        else:
            moved = fgsm(model, repeated, truths, strengths, "cross-entropy")
        longest = read(model, moved).lengths.max(dim=1)
    step = min(1.2, 7.2 / len(epsilons))
    side = min(0.88, step - 0.1)
    tall = side * image.shape[2] / image.shape[3]
    scale = min(1.0, 0.88 / tall)
    tiles = to_tiles(moved.cpu())
    for place, epsilon in enumerate(epsilons):
        axes = axes_at(figure, 0.75 + place * step, 0.42, side * scale, tall * scale)
        show(axes, tiles[place], frame=True)
        axes.set_title(f"ε = {epsilon:g}" if epsilon else "no attack", size=8.5, weight="normal", pad=4)
        predicted = int(longest.indices[place])
        name = f"{class_label(data.class_names, predicted, 10)}, {float(longest.values[place]):.2f}"
        incorrect = predicted != int(label)
        axes.set_xlabel(
            name, size=8.5, labelpad=4, color=ORANGE if incorrect else INK, weight="bold" if incorrect else "normal"
        )
    total = figure.get_size_inches()[1]
    text = f"One image under {attack.words} (cross-entropy), with its longest capsule and that capsule's length."
    figure.text(0.3 / 8.0, 0.06 / total, text, size=8.5, color=GREY, va="bottom")


def _draw(subject: Subject) -> Figure:
    record = subject.record("adversarial")
    few = subject.images_of(record).select(torch.arange(min(8, record["n"])))
    results, steps = cast(AdversarialResults, record["results"]), cast(int, record["settings"]["steps"])
    return draw_adversarial(results, subject.model, few, choose_attack(results, steps))


add_figure(
    "adversarial",
    _draw,
    caption="White-box attacks: the attacker has the network's gradients. Grey: random changes of the same size.",
    place=62,
)

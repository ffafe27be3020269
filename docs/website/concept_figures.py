"""Draw the pictures of the page of concepts by the package's own functions: python docs/website/concept_figures.py"""

import math
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from capsnet.figures.style import BLUE, GREEN, GREY, INK, ORANGE, PALE, axes_at, bare, new_figure, styled, to_png
from capsnet.functional import squash
from capsnet.losses import margin_loss
from capsnet.routing import dynamic_routing

PICTURES = Path(__file__).parents[1] / "pictures"
# where the votes of seven children for two parents point, in degrees, and how long they are
ANGLES = {"boat": (62, 70, 66, 58, 74, 200, 318), "house": (20, 140, 255, 80, 310, 195, 350)}
LENGTH = 1.0
ITERATIONS = (1, 2, 3, 5)


@styled
def draw_squash() -> Figure:
    """How long a vector is before and after squash, and what stays: its direction."""
    figure = new_figure(
        7.6,
        2.85,
        "Squash maps any length to one between 0 and 1",
        "Left: a short vector becomes much shorter, a long one gets a length of almost 1. Right: vectors before (grey) "
        "and after (blue); they keep their directions.",
    )
    curve = axes_at(figure, 0.65, 0.55, 3.5, 2.15)
    before = torch.linspace(0, 4, 200)
    after = squash(before[:, None]).norm(dim=-1)
    curve.axhline(1, color=PALE, linewidth=1)
    curve.plot(before, after, color=BLUE, linewidth=2.2)
    for length in (0.5, 1.0, 3.0):
        height = float(squash(torch.tensor([length])).norm())
        curve.plot(length, height, "o", color=BLUE, markersize=5)
        curve.annotate(f"{length:g} becomes {height:.2g}", (length + 0.12, height - 0.085), size=8.5)
    curve.set(xlim=(0, 4), ylim=(0, 1.06), xlabel="length before", ylabel="length after", yticks=(0, 0.5, 1))
    plane = axes_at(figure, 4.75, 0.35, 2.4, 2.4)
    _plane(plane, 1.75)
    for angle, length in ((20, 1.7), (80, 0.9), (135, 0.4), (200, 1.3), (290, 0.65)):
        vector = _vector(angle, length)
        _arrow(plane, vector, PALE, 2.6)
        _arrow(plane, squash(torch.tensor(vector)).numpy(), BLUE, 2.2)
    return figure


@styled
def draw_agreement() -> Figure:
    """Votes of seven children for two parents, and where the children go, iteration by iteration."""
    votes = torch.stack([torch.tensor(np.array([_vector(angle, LENGTH) for angle in row])) for row in ANGLES.values()])
    votes = votes.permute(1, 0, 2)[None].float()  # b i j d
    figure = new_figure(
        7.9,
        4.35,
        "Routing gives more weight to votes that agree",
        "Each coloured arrow is a part's vote for the pose of the whole: five of seven parts agree on the pose of a "
        "boat, none on that of a house. The stronger its colour, the larger its share. Black: the capsule.",
    )
    colors = dict(zip(ANGLES, (ORANGE, GREEN), strict=True))
    for column, iterations in enumerate(ITERATIONS):
        output = dynamic_routing(votes, iterations)
        assert output.coupling is not None
        for row, name in enumerate(ANGLES):
            axes = axes_at(figure, 0.75 + 1.78 * column, 2.3 - 2.1 * row, 1.66, 1.66)
            _plane(axes, 1.12)
            for vote, share in zip(votes[0, :, row], output.coupling[0, :, row], strict=True):
                _arrow(axes, vote.numpy(), colors[name], 1.5, alpha=0.08 + 0.92 * float(share))
            _arrow(axes, output.poses[0, row].numpy(), INK, 4.2)
            axes.set_xlabel(f"length {float(output.activations[0, row]):.2f}", size=8.5, labelpad=3)
            if row == 0:
                title = "1 iteration: even shares" if iterations == 1 else f"{iterations} iterations"
                axes.set_title(title, size=8.8, pad=6, loc="center")
            if column == 0:
                axes.set_ylabel(name, size=10, color=colors[name], weight="bold", labelpad=6)
    return figure


@styled
def draw_margin() -> Figure:
    """The margin loss of one class over the length of its capsule."""
    figure = new_figure(
        6.4,
        2.5,
        "Margin loss: long capsules for the classes in the image",
        "The loss is zero if the capsule of a class in the image is longer than 0.9, and that of any other class "
        "shorter than 0.1.",
    )
    axes = axes_at(figure, 0.65, 0.55, 5.4, 1.85)
    lengths = torch.linspace(0, 1, 200)[:, None]
    labels = (
        (1.0, BLUE, "the class is in the image", 0.15, "left"),
        (0.0, ORANGE, "it is not in the image", 0.72, "right"),
    )
    for target, color, name, place, side in labels:
        loss = margin_loss(lengths, torch.full_like(lengths, target), reduction="none")
        axes.plot(lengths[:, 0], loss, color=color, linewidth=2.2)
        index = round(place * 199)
        axes.annotate(name, (place, float(loss[index]) + 0.05), color=color, size=9.5, ha=side)
    for edge in (0.1, 0.9):
        axes.axvline(edge, color=PALE, linewidth=1, zorder=0)
    axes.set(
        xlim=(0, 1), ylim=(-0.02, 0.85), xlabel="length of the capsule", ylabel="loss", xticks=(0, 0.1, 0.5, 0.9, 1)
    )
    return figure


def _vector(angle: float, length: float) -> np.ndarray:
    return length * np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])


def _plane(axes: Axes, side: float) -> None:
    """Axes from -side to side with the circle of length 1."""
    bare(axes)
    axes.set(xlim=(-side, side), ylim=(-side, side))
    turn = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(turn), np.sin(turn), color=PALE, linewidth=0.9)
    axes.plot(0, 0, "o", color=GREY, markersize=2.5)


def _arrow(axes: Axes, tip: np.ndarray, color: str, width: float, alpha: float = 1.0) -> None:
    style = {
        "arrowstyle": f"-|>,head_width={0.1 + 0.05 * width},head_length={0.2 + 0.08 * width}",
        "shrinkA": 0,
        "shrinkB": 0,
    }
    axes.annotate("", tip, (0, 0), arrowprops={**style, "color": color, "linewidth": width, "alpha": alpha})


def main() -> None:
    """Write the pictures."""
    for name, draw in (("squash", draw_squash), ("agreement", draw_agreement), ("margin", draw_margin)):
        path = PICTURES / f"concept-{name}.png"
        path.write_bytes(to_png(draw()))
        print(path)


if __name__ == "__main__":
    main()

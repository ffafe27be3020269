"""Coupling coefficients over the image: which primary capsules are routed to the longest class capsule."""

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from capsnet.errors import UserError
from capsnet.figures.style import BLUE, INK, ORANGE, axes_at, class_label, new_figure, styled
from capsnet.figures.subject import Sample, Subject, add_figure, different_classes
from capsnet.figures.tiles import show, to_tiles
from capsnet.models import CapsuleModel
from capsnet.models.grid import Grid

# mean difference from uniform coupling, in percent
_EFFECTS = ((2.0, "hardly any"), (10.0, "slight"), (50.0, "clear"), (float("inf"), "strong"))
_SHARES = LinearSegmentedColormap.from_list("shares", [BLUE, "#A9CBE0", "#F4F4F4", "#F0B68C", ORANGE])


def find_grid(model: CapsuleModel) -> Grid:
    """The grid of a model's primary capsules.

    Raises:
        UserError: the model has no grid, or its only position covers the whole image.
    """
    if model.grid is None:
        raise UserError("the model has no grid of primary capsules over the image")
    if model.grid.rows * model.grid.columns == 1:
        raise UserError("each primary capsule of the model covers the whole image: its routing has no positions")
    return model.grid


def coupling_shares(coupling: Float[Tensor, "b i n"], grid: Grid) -> Float[Tensor, "b n y x"]:
    """Coupling summed over capsule types at each position, relative to uniform coupling (1/n for each class)."""
    types = coupling.shape[1] // (grid.rows * grid.columns)
    # primary capsules are in the order row, column, type
    places = coupling.reshape(len(coupling), grid.rows, grid.columns, types, -1).sum(dim=3)  # b y x n
    even = coupling.mean(dim=(1, 2)) * types
    shares: Tensor = places / even[:, None, None, None].clamp(min=1e-12)
    return shares.permute(0, 3, 1, 2)


@styled
@torch.no_grad()
def draw_coupling(model: CapsuleModel, images: Sample) -> Figure:
    """Draw the coupling to the longest and second-longest capsule, for a few images of different classes.

    Raises:
        UserError: the model has no grid of primary capsules, or its routing returns no coupling.
    """
    grid = find_grid(model)
    sample = images.pick(different_classes(images))
    device = model.device
    output = model(model.inputs.normalize(sample.data.images.to(device).float()))
    if output.coupling is None:
        raise UserError("the model's routing returns no coupling")
    shares = coupling_shares(output.coupling.cpu(), grid)
    winners = sample.capsules.activations.topk(min(2, shares.shape[1]), dim=1).indices  # b 2
    chosen = shares.gather(1, winners[:, :, None, None].expand(-1, -1, grid.rows, grid.columns))
    types = output.coupling.shape[1] // (grid.rows * grid.columns)
    subtitle = (
        f"Routing divides the output of each primary capsule among the {shares.shape[1]} classes. Below each image, "
        f"its framed part: {grid.rows}×{grid.columns} positions of primary capsules, each at the centre of its "
        f"{grid.window}×{grid.window} receptive field, with the coupling summed over {types} types. Orange: above "
        f"uniform coupling to this class; blue: below. {describe_effect(chosen[:, 0])}"
    )
    return _draw_table(sample, winners, chosen, grid, subtitle)


def describe_effect(shares: Float[Tensor, "b y x"]) -> str:
    """How far the coupling to the longest capsule is from uniform, in a sentence."""
    away = 100 * (shares - 1).abs()
    mean, most = float(away.mean()), float(away.max())
    size = next(word for limit, word in _EFFECTS if mean < limit)
    return (
        f"Effect size: {size}. A position's coupling to the longest capsule differs from uniform by {mean:.1f} % on "
        f"average and {most:.0f} % at most; single capsules may differ more."
    )


def _draw_table(sample: Sample, winners: Tensor, chosen: Tensor, grid: Grid, subtitle: str) -> Figure:
    columns, rows = len(sample.data), 1 + winners.shape[1]
    _, pixels_high, pixels_wide = sample.data.image_shape
    left, step = 1.45, min(1.1, 6.3 / columns)
    side = step - 0.1
    tall = side * pixels_high / pixels_wide
    body = rows * (tall + 0.3) + 0.75
    figure = new_figure(8.0, body, "Coupling to the longest capsules", subtitle)
    total = figure.get_size_inches()[1]
    spread = max(float((chosen - 1).abs().quantile(0.98)), 0.02)
    norm = TwoSlopeNorm(1.0, max(0.0, 1 - spread), 1 + spread)
    # one view of a stereo pair, onto which the grid can be drawn
    images = sample.data.images
    tiles = to_tiles(images[:, :1] if images.shape[1] == 2 else images)
    for row, text in enumerate(
        ("test image", "to the longest\ncapsule (its\nclass, length)", "to the second\nlongest")[:rows]
    ):
        bottom = body - 0.28 - tall - row * (tall + 0.3)
        figure.text(0.3 / 8.0, (bottom + tall / 2) / total, text, size=8.5, va="center", color=INK)
        for column in range(columns):
            axes = axes_at(figure, left + column * step, bottom, side, tall)
            show(axes, tiles[column], frame=True)
            _scale(axes, tiles.shape[1:3], (pixels_high, pixels_wide))
            if row == 0:
                outline(axes, grid)
                axes.set_title(
                    class_label(sample.data.class_names, int(sample.data.labels[column]), 12), size=8.5, pad=4
                )
            else:
                _overlay(axes, chosen[column, row - 1], grid, norm)
                axes.set_title(_name(sample, column, int(winners[column, row - 1])), size=8, weight="normal", pad=3)
    bar = figure.colorbar(
        ScalarMappable(norm, _SHARES),
        cax=axes_at(figure, left, 0.42, 2.6, 0.12),
        orientation="horizontal",
        extend="both",
    )
    bar.set_label("coupling, as a multiple of uniform coupling", size=8.5)
    bar.outline.set_visible(False)
    return figure


def _name(sample: Sample, image: int, label: int) -> str:
    length = float(sample.capsules.activations[image, label])
    return f"{class_label(sample.data.class_names, label, 9)}, {length:.2f}"


def _scale(axes: Axes, tile: tuple[int, ...], image: tuple[int, int]) -> None:
    """Use the image's pixel coordinates, even if its tile is smaller."""
    axes.images[0].set_extent((0.0, image[1], image[0], 0.0))
    axes.set_xlim(0, image[1])
    axes.set_ylim(image[0], 0)


def outline(axes: Axes, grid: Grid) -> None:
    """Draw the grid's outline on the image."""
    left, right, bottom, top = grid.extent
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=ORANGE, linewidth=1.2))


def _overlay(axes: Axes, shares: Float[Tensor, "y x"], grid: Grid, norm: Normalize, colors: Colormap = _SHARES) -> None:
    left, right, bottom, top = grid.extent
    draw_contour(axes)
    axes.imshow(
        shares.numpy(),
        cmap=colors,
        norm=norm,
        extent=(left, right, bottom, top),
        interpolation="nearest",
        aspect="auto",
    )
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def draw_contour(axes: Axes) -> None:
    """Replace the image in `axes` by the contour between its dark and light areas."""
    picture, (left, right), (bottom, top) = axes.images[0], axes.get_xlim(), axes.get_ylim()
    grey = np.asarray(picture.get_array()).mean(axis=-1)
    picture.remove()
    if grey.min() == grey.max():
        return
    x = (np.arange(grey.shape[1]) + 0.5) * (right - left) / grey.shape[1]
    y = (np.arange(grey.shape[0]) + 0.5) * (bottom - top) / grey.shape[0]
    axes.contour(x, y, grey, levels=[(float(grey.min()) + float(grey.max())) / 2], colors=INK, linewidths=0.9)


def _draw(subject: Subject) -> Figure:
    return draw_coupling(subject.model, subject.sample)


add_figure(
    "coupling",
    _draw,
    caption="Which image positions are routed to the longest capsule more than uniformly, and which less. The effect "
    "size is given above the pictures.",
    place=50,
)

"""Masks of any classes over their images: the true ones, and those that models predict."""

import colorsys
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Shaped
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from capsnet.errors import UserError
from capsnet.figures.style import axes_at, labels, new_figure, plain, styled
from capsnet.figures.tiles import montage, show, to_tiles

_LEFT, _WIDTH, _MOST, _PIXELS = 1.2, 7.0, 6, 256
_LEGEND_COLUMNS = 4
# Okabe and Ito without black; further classes have evenly distributed hues
_COLORS = (
    (0.34, 0.71, 0.91),
    (0.90, 0.62, 0.0),
    (0.0, 0.62, 0.45),
    (0.94, 0.89, 0.26),
    (0.0, 0.45, 0.70),
    (0.84, 0.37, 0.0),
    (0.80, 0.47, 0.65),
)


@styled
def draw_masks(
    images: Shaped[Tensor, "b c h w"],
    masks: Mapping[str, Bool[Tensor, "b n h w"]],
    class_names: Sequence[str],
    title: str = "Masks",
) -> Figure:
    """Draw images, and below them the masks of each name: the true ones, those of models.

    Args:
        images: uint8 or in [0, 1]; the first six are drawn.
        masks: of the same images, by the name of their row.
        class_names: of the masks.
        title: of the figure.

    Raises:
        UserError: masks that do not fit the images or the names.

    Example:
        >>> figure = draw_masks(images, {"true": masks, "SegCaps": model.segment(images)}, ("cell", "nucleus"))
        >>> figure.savefig("masks.png")
    """
    count = min(_MOST, len(images))
    for name, mask in masks.items():
        expected = (len(images), len(class_names), *images.shape[2:])
        if tuple(mask.shape) != expected:
            raise UserError(f"masks {name!r} must be {expected}, as images and class_names, got {tuple(mask.shape)}")
    pixels = images[:count].detach().cpu().float() / (255 if images.dtype == torch.uint8 else 1)
    rows = [to_tiles(pixels, _PIXELS)]
    rows += [to_tiles(paint_masks(pixels, mask[:count].cpu()), _PIXELS) for mask in masks.values()]
    sheet = montage(np.concatenate(rows), count, gap=max(1, rows[0].shape[2] // 32))
    tall, wide = sheet.shape[:2]
    # small images are not blown up to a whole page
    width = min(_WIDTH, 1.4 * count)
    height = width * tall / wide
    colors, names = class_colors(len(class_names)), labels(class_names, 18)
    # a patch and the gap beside it, and the width of a character, in inches
    columns = max(1, min(_LEGEND_COLUMNS, int(max(width, 4.0) / (0.57 + 0.072 * max(map(len, names))))))
    lines = -(-len(names) // columns)
    bottom = 0.35 + 0.22 * lines
    subtitle = "Each class has a colour; where masks overlap, colours are mixed."
    figure = new_figure(_LEFT + max(width, 4.0) + 0.3, height + bottom, title, subtitle)
    axes = axes_at(figure, _LEFT, bottom, width, height)
    show(axes, sheet)
    step = tall / len(rows)
    for row, name in enumerate(["image", *masks]):
        axes.annotate(
            plain(name, 16), (0, (row + 0.5) * step), (-6, 0), textcoords="offset points", ha="right", va="center",
            size=8.5,
        )  # fmt: skip
    patches = [Patch(color=color, label=name) for color, name in zip(colors, names, strict=True)]
    figure.legend(
        handles=patches, loc="lower left", ncol=columns, frameon=False, fontsize=8.5,
        bbox_to_anchor=(_LEFT / figure.get_size_inches()[0] - 0.01, 0.0),
    )  # fmt: skip
    return figure


def paint_masks(images: Shaped[Tensor, "b c h w"], masks: Bool[Tensor, "b n h w"]) -> Shaped[Tensor, "b 3 h w"]:
    """Images in [0, 1], grey or RGB, with the colour of each class over its pixels."""
    grey_or_rgb = images if images.shape[1] == 3 else images.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    inside = masks.to(images.dtype)
    colors = torch.tensor(class_colors(masks.shape[1]), dtype=images.dtype)  # n 3
    classes = inside.sum(dim=1, keepdim=True)
    mean = torch.einsum("bnhw,nk->bkhw", inside, colors) / classes.clamp(min=1)
    return torch.where(classes > 0, 0.4 * grey_or_rgb + 0.6 * mean, grey_or_rgb)


def frame_masks(
    image: Shaped[Tensor, "c h w"], masks: Bool[Tensor, "n h w"], side: int = _PIXELS
) -> tuple[Shaped[Tensor, "c s s"], Bool[Tensor, "n s s"]]:
    """Scale an image and its masks into a square with the aspect ratio kept; the rest is white.

    Args:
        image: uint8 or in [0, 1]; the result is in [0, 1].
        masks: of the image.
        side: of the square in pixels.
    """
    pixels = image.detach().cpu().float() / (255 if image.dtype == torch.uint8 else 1)
    height, width = pixels.shape[1:]
    high, wide = (max(1, round(length * side / max(height, width))) for length in (height, width))
    top, left = (side - high) // 2, (side - wide) // 2
    framed, inside = torch.ones(len(pixels), side, side), torch.zeros(len(masks), side, side, dtype=torch.bool)
    # averages where the image is larger than the square, whole pixels where it is smaller
    scaled = torch.nn.functional.interpolate(pixels[None], (high, wide), mode="area")[0]
    marked = torch.nn.functional.interpolate(masks[None].cpu().float(), (high, wide), mode="nearest")[0] > 0
    framed[:, top : top + high, left : left + wide] = scaled
    inside[:, top : top + high, left : left + wide] = marked
    return framed, inside


def class_colors(count: int) -> list[tuple[float, float, float]]:
    """A colour for each class, distinct for colour-blind readers in the first seven."""
    # the golden ratio: hues of neighbours are far apart
    more = (colorsys.hsv_to_rgb(0.618034 * number % 1, 0.6, 0.9) for number in range(max(0, count - len(_COLORS))))
    return [*_COLORS[:count], *more]

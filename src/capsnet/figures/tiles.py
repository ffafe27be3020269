"""Images as tiles of one picture."""

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from matplotlib.axes import Axes
from torch import Tensor

from capsnet.figures.style import PALE, bare

_LARGEST = 64


def to_tiles(images: Shaped[Tensor, "m c h w"], largest: int = _LARGEST) -> UInt8[np.ndarray, "m y x 3"]:
    """Convert images, uint8 or in [0, 1], to RGB tiles of at most `largest` pixels a side.

    One channel becomes grey; two, a stereo pair, are placed side by side; three are RGB; any other number is averaged.
    """
    pixels = images.detach().cpu().float()
    if images.dtype == torch.uint8:
        pixels = pixels / 255
    if pixels.shape[1] not in (1, 2, 3):
        pixels = pixels.mean(dim=1, keepdim=True)
    height, width = pixels.shape[2:]
    shrink = largest / max(height, width)
    if shrink < 1:
        size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
        pixels = torch.nn.functional.interpolate(pixels, size, mode="area")
    if pixels.shape[1] == 2:
        pixels = torch.cat([pixels[:, :1], pixels[:, 1:]], dim=3)
    pixels = pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
    tiles: np.ndarray = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return tiles


def montage(tiles: UInt8[np.ndarray, "m y x 3"], columns: int, gap: int = 2) -> UInt8[np.ndarray, "Y X 3"]:
    """Arrange tiles in rows on white, `gap` pixels apart."""
    count, height, width, _ = tiles.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def show(axes: Axes, pixels: UInt8[np.ndarray, "y x 3"], *, frame: bool = False) -> None:
    """Show pixels without interpolation, one unit each, with the top left corner at (0, 0)."""
    height, width, _ = pixels.shape
    axes.imshow(pixels, interpolation="nearest", aspect="auto", extent=(0.0, width, height, 0.0))
    bare(axes)
    if frame:
        for spine in axes.spines.values():
            spine.set(visible=True, color=PALE, linewidth=0.8)

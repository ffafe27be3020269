"""Draw the picture at the top of README.md: three dimensions of a capsule that change thickness, slant and width.

python docs/pose_picture.py                writes docs/pictures/pose.png from the pretrained capsnet-mnist

Which dimension does what is measured on the drawings, not chosen by eye.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from capsnet.data import ImageData, load_data
from capsnet.figures.manipulation import OFFSETS, manipulate
from capsnet.figures.style import BLUE, axes_at, new_figure, styled, to_png
from capsnet.figures.tiles import montage, show, to_tiles
from capsnet.runs import load

PICTURE = Path(__file__).parent / "pictures" / "pose.png"
# a 3 of the test split, by its number
IMAGE = 32
MEASURES = ("thickness", "slant", "width")
# what counts as one step of each measure: a pixel, 15 degrees, 4 pixels
STEPS = torch.tensor([1.0, 15.0, 4.0])


def measure(images: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b 3"]:
    """Thickness of the strokes in pixels, slant in degrees (positive: to the right), and width in pixels."""
    ink = images.clamp(0, 1)
    total = ink.sum((-2, -1)).clamp(min=1e-3)
    rows, columns = (torch.arange(float(size)) for size in ink.shape[-2:])
    x = columns - ((ink.sum(-2) * columns).sum(-1) / total)[..., None]
    y = rows - ((ink.sum(-1) * rows).sum(-1) / total)[..., None]
    xx = (ink * x[..., None, :].square()).sum((-2, -1)) / total
    yy = (ink * y[..., :, None].square()).sum((-2, -1)) / total
    xy = (ink * x[..., None, :] * y[..., :, None]).sum((-2, -1)) / total
    # the mean of |cos| + |sin| over all directions is 1.27
    outline = (ink.diff(dim=-2).abs().sum((-2, -1)) + ink.diff(dim=-1).abs().sum((-2, -1))) / 1.27
    slant = torch.rad2deg(torch.atan(-xy / yy))
    # of a bar the width is sqrt(12) standard deviations; the slant is taken out
    width = (12 * (xx - xy.square() / yy).clamp(min=0)).sqrt()
    return torch.stack([2 * total / outline, slant, width], dim=-1)


def choose(changes: Float[Tensor, "d 3"]) -> list[int]:
    """For each measure the dimension that changes it most, and the others least."""
    steps = changes.abs() / STEPS
    return (steps * steps / steps.sum(dim=1, keepdim=True)).argmax(dim=0).tolist()


def describe(name: str, value: float) -> str:
    """A measured value in words."""
    if name == "slant":
        return f"{abs(value):.0f}° to the {'right' if value > 0 else 'left'}"
    return f"{value:.1f} pixels"


@styled
def draw(data: ImageData) -> Figure:
    """A test image, its reconstruction, and a row for each measure."""
    model = load("capsnet-mnist")
    image, label = data.images[IMAGE : IMAGE + 1] / 255, int(data.labels[IMAGE])
    with torch.inference_mode():
        pose = model(image).capsules.poses[0, label]
        drawings = manipulate(model, pose, label, len(data.class_names))
    measured = measure(drawings[:, :, 0])
    ends = measured[:, [0, -1]]
    dimensions = choose(ends[:, 1] - ends[:, 0])
    figure = new_figure(
        8.0,
        2.65,
        f"What the capsule for {data.class_names[label]} has learned",
        "Left: a test digit, and its reconstruction from the capsule. Right: each row changes one of the "
        f"{len(pose)} numbers of the capsule, from −{-OFFSETS[0]:.2f} to +{OFFSETS[-1]:.2f}, and decodes the result.",
    )
    for name, picture, left in (("test image", image, 0.3), ("reconstruction", drawings[:1, len(OFFSETS) // 2], 1.25)):
        axes = axes_at(figure, left, 1.0, 0.85, 0.85)
        show(axes, to_tiles(picture)[0], frame=True)
        axes.set_xlabel(name, size=8, labelpad=4)
    for row, (name, dimension) in enumerate(zip(MEASURES, dimensions, strict=True)):
        bottom = 2.0 - row * 0.88
        axes = axes_at(figure, 2.4, bottom, 5.3, 0.48)
        show(axes, montage(to_tiles(drawings[dimension]), len(OFFSETS), 0))
        first, last = (describe(name, value) for value in ends[dimension, :, row].tolist())
        axes.set_title(name, size=9.5, pad=4, color=BLUE)
        text = f"dimension {dimension + 1}: from {first} to {last}"
        axes.text(1, 1.09, text, transform=axes.transAxes, size=8, ha="right")
    return figure


def main() -> None:
    """Write the picture."""
    PICTURE.write_bytes(to_png(draw(load_data("mnist").test)))
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

"""Draws examples/pictures: a seven and a letter, as if written on paper and photographed.

python docs/example_pictures.py
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

FOLDER = Path(__file__).parents[1] / "examples" / "pictures"
# in percent of the side
STROKES = {
    "seven": [
        [(30, 25), (45, 23), (60, 24), (71, 22), (66, 36), (57, 52), (50, 68), (47, 82)],
    ],
    "letter_a": [
        [(28, 82), (35, 62), (43, 40), (51, 19), (58, 40), (66, 61), (74, 81)],
        [(36, 59), (50, 57), (66, 60)],
    ],
}
SIDE, WIDTH, FINER = 360, 15, 4


def draw(strokes: list[list[tuple[int, int]]], seed: int) -> Image.Image:
    """Dark strokes on unevenly lit, grainy paper."""
    size = SIDE * FINER
    pen = Image.new("L", (size, size))
    for stroke in strokes:
        points = [(size * x / 100, size * y / 100) for x, y in stroke]
        ImageDraw.Draw(pen).line(points, fill=255, width=WIDTH * FINER, joint="curve")
        for x, y in (points[0], points[-1]):
            radius = WIDTH * FINER / 2
            ImageDraw.Draw(pen).ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    ink = np.asarray(pen.resize((SIDE, SIDE), Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(1))) / 255
    down, right = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j]
    light = 205 + 25 * right - 30 * down + np.random.default_rng(seed).normal(0, 2.5, ink.shape)
    return Image.fromarray(np.clip(light * (1 - 0.8 * ink), 0, 255).astype(np.uint8))


def main() -> None:
    """Write the pictures."""
    FOLDER.mkdir(exist_ok=True)
    for seed, (name, strokes) in enumerate(STROKES.items()):
        draw(strokes, seed).save(FOLDER / f"{name}.jpg", quality=85)


if __name__ == "__main__":
    main()

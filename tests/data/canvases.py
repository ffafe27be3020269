"""MNIST digits as people give them: pasted into larger canvases, cut out tightly, photographed."""

import io

import numpy as np
from PIL import Image
from scipy import ndimage


def make_canvas(digit, generator):
    """A canvas with one digit in it, its scale, and whether the digit is darker than the ground."""
    scale = float(np.exp(generator.uniform(np.log(0.6), np.log(4.0))))
    side = max(4, round(28 * scale))
    pasted = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255
    height, width = (int(side * generator.uniform(1.2, 3.0)) + 8 for _ in range(2))
    top, left = int(generator.integers(0, height - side + 1)), int(generator.integers(0, width - side + 1))
    alpha = np.zeros((height, width), np.float32)
    alpha[top : top + side, left : left + side] = pasted
    dark = bool(generator.integers(2))
    low, high = generator.uniform(0, 80), generator.uniform(160, 255)
    ground, ink = (high, low) if dark else (low, high)
    pixels = ground + alpha * (ink - ground) + generator.normal(0, generator.uniform(0, 6), alpha.shape)
    return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8)), scale, dark


def cut_tightly(digit, side, margin, *, dark):
    """A digit cut to its box, whose longer side is scaled to `side`, with `margin` pixels of paper around it."""
    rows, columns = np.nonzero(digit)
    box = digit[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    height, width = (max(1, round(size * side / max(box.shape))) for size in box.shape)
    pixels = np.pad(np.asarray(Image.fromarray(box).resize((width, height), Image.Resampling.BICUBIC)), margin)
    return Image.fromarray(255 - pixels if dark else pixels)


def photograph(digit, generator, *, turned):
    """A dark digit on textured paper in uneven light, a little blurred, as JPEG; turned ones have black corners."""
    side = int(generator.uniform(60, 160))
    stroke = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255
    height, width = (int(side * generator.uniform(1.1, 2.4)) for _ in range(2))
    top, left = int(generator.integers(0, height - side + 1)), int(generator.integers(0, width - side + 1))
    ink = np.zeros((height, width), np.float32)
    ink[top : top + side, left : left + side] = 1 / (1 + np.exp(-14 * (stroke - 0.45)))
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    light = 1 + generator.uniform(-0.25, 0.25) * x + generator.uniform(-0.25, 0.25) * y
    texture = ndimage.gaussian_filter(generator.normal(0, 1, ink.shape), generator.uniform(0.8, 2.5))
    paper = generator.uniform(150, 235) + texture / texture.std() * generator.uniform(0, 4)
    pixels = (paper * (1 - ink) + generator.uniform(20, 90) * ink) * light
    pixels = ndimage.gaussian_filter(pixels, generator.uniform(0.3, 1.6)) + generator.normal(0, 3, ink.shape)
    photo = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    if turned:
        angle, whole = generator.uniform(-12, 12), bool(generator.integers(2))
        photo = photo.rotate(angle, Image.Resampling.BICUBIC, expand=whole)
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=int(generator.integers(55, 92)))
    return Image.open(file).convert("L")

"""MNIST digits pasted at random places, scales and greys into larger canvases."""

import numpy as np
from PIL import Image


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

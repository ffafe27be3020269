"""Augmentation on the device that trains.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 5: shifts of up to 2 pixels.
"""

import torch
from jaxtyping import Int, Shaped
from torch import Tensor


def draw_shifts(count: int, most: int, generator: torch.Generator) -> Int[Tensor, "m 2"]:
    """Draw a vertical and a horizontal shift for each image, integers from -most to most, on the generator's device.

    Shapes:
        result `count 2`.
    """
    return torch.randint(-most, most + 1, (count, 2), generator=generator, device=generator.device)


def shift_images(images: Shaped[Tensor, "b c h w"], shifts: Int[Tensor, "b 2"]) -> Shaped[Tensor, "b c h w"]:
    """Move each image down and to the right by its own whole number of pixels; zeros come in.

    Shapes:
        images `b c h w`, shifts `b 2` (vertical, horizontal), result as images.
    """
    batch, _, height, width = images.shape
    rows = torch.arange(height, device=images.device) - shifts[:, :1]  # b h
    columns = torch.arange(width, device=images.device) - shifts[:, 1:]  # b w
    inside_rows = (rows >= 0) & (rows < height)
    inside_columns = (columns >= 0) & (columns < width)
    samples = torch.arange(batch, device=images.device)[:, None, None]
    moved = images[samples, :, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]
    inside = inside_rows[:, :, None] & inside_columns[:, None, :]  # b h w
    return (moved * inside[..., None]).permute(0, 3, 1, 2)

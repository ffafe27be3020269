"""Rotation, shift, scaling and noise, each with one strength."""

from math import cos, pi, sin

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.data.transforms.shift import shift_images

Images = Float[Tensor, "b c h w"]


def warp(images: Images, matrices: Float[Tensor, "b 2 2"]) -> Images:
    """Sample images bilinearly after a linear transformation about their centre; outside is zero.

    Args:
        images: in [0, 1].
        matrices: map a position in the result to the sampled position in the image, in pixels (x, y).
    """
    height, width = images.shape[2:]
    # affine_grid works in half sides: without rescaling, a rotation would distort images that are not square
    half = torch.tensor([width / 2, height / 2], device=images.device)
    scaled = matrices.to(images) * half / half[:, None]
    theta = torch.cat([scaled, scaled.new_zeros(len(scaled), 2, 1)], dim=2)
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, align_corners=False)


def rotate(images: Images, degrees: float, generator: torch.Generator) -> Images:
    """Rotate each image about its centre by `degrees`, left or right at random."""
    angles = _signs(len(images), generator) * degrees * pi / 180
    rotations = [[[cos(angle), -sin(angle)], [sin(angle), cos(angle)]] for angle in angles.tolist()]
    return warp(images, torch.tensor(rotations))


def scale(images: Images, factor: float, generator: torch.Generator) -> Images:
    """Enlarge each image about its centre."""
    del generator
    return warp(images, torch.eye(2).expand(len(images), 2, 2) / factor)


def shift(images: Images, pixels: float, generator: torch.Generator) -> Images:
    """Move each image by a whole number of pixels up, down, left or right at random."""
    signs = _signs(len(images), generator)
    upright = torch.rand(len(images), generator=generator) < 0.5
    moves = torch.stack([signs * upright, signs * ~upright], dim=1) * round(pixels)
    return shift_images(images, moves.long().to(images.device))


def disturb(images: Images, deviation: float, generator: torch.Generator) -> Images:
    """Add Gaussian noise to each pixel and clamp to [0, 1]."""
    noise = torch.randn(images.shape, generator=generator).to(images)
    return (images + deviation * noise).clamp(0, 1)


def _signs(count: int, generator: torch.Generator) -> Float[Tensor, " b"]:
    return torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1

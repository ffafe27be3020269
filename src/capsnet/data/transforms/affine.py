"""Affine transformations of a batch, a separate one for each image: rotation, shear, scale, translation."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional


def affine_images(
    images: Shaped[Tensor, "b c h w"], matrices: Float[Tensor, "b 2 2"], shifts: Float[Tensor, "b 2"], side: int
) -> Shaped[Tensor, "b c s s"]:
    """Transform each image into a square frame, with bilinear interpolation and zeros outside of the image.

    The point p of the image, in pixels from its middle (x to the right, y down), maps to A p + t from the middle of the
    frame.

    Args:
        images: bytes or floats.
        matrices: the matrix A of each image, invertible.
        shifts: the translation t of each image.
        side: side of the frame.

    Shapes:
        images `b c h w`, matrices `b 2 2`, shifts `b 2` (x, y), result `b c side side`, of the type of images.
    """
    height, width = images.shape[2:]
    steps = torch.arange(side, device=images.device, dtype=matrices.dtype) - (side - 1) / 2
    points = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)  # s s 2
    x, y = torch.einsum("bxy,bhwy->xbhw", _inverse(matrices), points - shifts[:, None, None, :])
    # grid_sample's coordinates: -1 is the left edge of the first pixel, 1 the right edge of the last
    grid = torch.stack([x * (2 / width), y * (2 / height)], dim=-1)
    drawn = functional.grid_sample(images.to(grid.dtype), grid, mode="bilinear", align_corners=False)
    return drawn.round().clamp(0, 255).to(torch.uint8) if images.dtype == torch.uint8 else drawn.to(images.dtype)


def _inverse(matrices: Float[Tensor, "b 2 2"]) -> Float[Tensor, "b 2 2"]:
    # written out: torch.linalg.inv synchronises with the device to check for errors
    (a, b), (c, d) = (row.unbind(-1) for row in matrices.unbind(1))
    return torch.stack([d, -b, -c, a], dim=1).view(-1, 2, 2) / (a * d - b * c)[:, None, None]


def rotations(degrees: Float[Tensor, " b"]) -> Float[Tensor, "b 2 2"]:
    """Matrices that rotate an image anticlockwise.

    Shapes:
        degrees `b`, result `b 2 2`.
    """
    angles = torch.deg2rad(degrees)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([cos, sin, -sin, cos], dim=1).view(-1, 2, 2)

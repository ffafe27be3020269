"""Affine transformations of a batch, each image by its own: turned, sheared, scaled, moved."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional


def affine_images(
    images: Shaped[Tensor, "b c h w"], matrices: Float[Tensor, "b 2 2"], shifts: Float[Tensor, "b 2"], side: int
) -> Shaped[Tensor, "b c s s"]:
    """Draw each image, transformed, into a square frame; places outside of it are zero, pixels between are bilinear.

    A place p of the image, counted in pixels from its middle, x to the right and y down, appears at A p + t, counted
    from the middle of the frame.

    Args:
        images: bytes or floats.
        matrices: A of each image, invertible.
        shifts: t of each image.
        side: of the frame.

    Shapes:
        images `b c h w`, matrices `b 2 2`, shifts `b 2` (x, y), result `b c side side`, of the type of images.
    """
    height, width = images.shape[2:]
    steps = torch.arange(side, device=images.device, dtype=matrices.dtype) - (side - 1) / 2
    places = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)  # s s 2
    x, y = torch.einsum("bxy,bhwy->xbhw", _inverse(matrices), places - shifts[:, None, None, :])
    # the sampler counts from -1 at the left edge of the first pixel to 1 at the right edge of the last
    grid = torch.stack([x * (2 / width), y * (2 / height)], dim=-1)
    drawn = functional.grid_sample(images.to(grid.dtype), grid, mode="bilinear", align_corners=False)
    return drawn.round().clamp(0, 255).to(torch.uint8) if images.dtype == torch.uint8 else drawn.to(images.dtype)


def _inverse(matrices: Float[Tensor, "b 2 2"]) -> Float[Tensor, "b 2 2"]:
    # written out: the library's own waits for the device to see whether it succeeded
    (a, b), (c, d) = (row.unbind(-1) for row in matrices.unbind(1))
    return torch.stack([d, -b, -c, a], dim=1).view(-1, 2, 2) / (a * d - b * c)[:, None, None]


def rotations(degrees: Float[Tensor, " b"]) -> Float[Tensor, "b 2 2"]:
    """Matrices that turn an image anticlockwise, as one sees it.

    Shapes:
        degrees `b`, result `b 2 2`.
    """
    angles = torch.deg2rad(degrees)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([cos, sin, -sin, cos], dim=1).view(-1, 2, 2)

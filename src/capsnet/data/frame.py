"""Padding, cropping, flipping and shrinking of a batch, by whole pixels and with numbers of each image's own.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 7: 24x24 patches of CIFAR-10, 32x32
patches of smallNORB shrunk to 48x48; the middle patch at test.
"""

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional

from capsnet.errors import UserError


def pad_images(images: Shaped[Tensor, "b c h w"], padding: int) -> Shaped[Tensor, "b c H W"]:
    """Set each image into the middle of a frame that is larger by `padding` zeros on every side.

    Shapes:
        images `b c h w`, result `b c h+2p w+2p`, of the same type.
    """
    return functional.pad(images, (padding,) * 4) if padding else images


def center_crop(images: Shaped[Tensor, "b c h w"], side: int) -> Shaped[Tensor, "b c s s"]:
    """Cut the middle square out of each image; an odd remainder leaves one row or column more below and at the right.

    Shapes:
        images `b c h w`, result `b c side side`, of the same type.

    Raises:
        UserError: images smaller than the square.
    """
    _check_side(images, side)
    top, left = ((size - side) // 2 for size in images.shape[2:])
    return images[:, :, top : top + side, left : left + side]


def draw_crops(count: int, room: tuple[int, int], generator: torch.Generator) -> Int[Tensor, "m 2"]:
    """Draw the upper left corner of each image's patch, each place as likely, on the generator's device.

    Args:
        count: number of images.
        room: the last row and the last column where a patch may begin: the image's size less the patch's.
        generator: draws.

    Shapes:
        result `count 2` (row, column).
    """
    rows, columns = (torch.randint(last + 1, (count,), generator=generator, device=generator.device) for last in room)
    return torch.stack([rows, columns], dim=1)


def crop_images(images: Shaped[Tensor, "b c h w"], corners: Int[Tensor, "b 2"], side: int) -> Shaped[Tensor, "b c s s"]:
    """Cut a square out of each image, at its own place.

    Args:
        images: of one size.
        corners: row and column of each patch's upper left pixel.
        side: of the patches.

    Shapes:
        images `b c h w`, corners `b 2`, result `b c side side`, of the same type.

    Raises:
        UserError: images smaller than the patches.
    """
    _check_side(images, side)
    steps = torch.arange(side, device=images.device)
    samples = torch.arange(len(images), device=images.device)[:, None, None]
    rows, columns = corners[:, :1] + steps, corners[:, 1:] + steps  # b s
    return images[samples, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def draw_flips(count: int, generator: torch.Generator) -> Bool[Tensor, " m"]:
    """Draw for each image whether it is mirrored, with chance one half.

    Shapes:
        result `count`.
    """
    return torch.rand(count, generator=generator, device=generator.device) < 0.5


def flip_images(images: Shaped[Tensor, "b c h w"], flips: Bool[Tensor, " b"]) -> Shaped[Tensor, "b c h w"]:
    """Mirror the chosen images, left for right.

    Shapes:
        images `b c h w`, flips `b`, result as images.
    """
    return torch.where(flips[:, None, None, None], images.flip(3), images)


def shrink_images(images: Shaped[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c s s"]:
    """Scale images down to a square: a pixel of the result is the mean of the area that it covers.

    Differs from the paper:
        The authors' code calls a bilinear resize without antialiasing, which of 96 to 48 takes every second pixel;
        the paper does not say how. The mean has less noise.

    Shapes:
        images `b c h w`, result `b c side side`, floats in the units of images.

    Raises:
        UserError: images smaller than the result.
    """
    _check_side(images, side)
    return functional.interpolate(images.float(), (side, side), mode="area")


def enlarge_images(images: Shaped[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c s s"]:
    """Scale images up to a square, bilinear between pixels (DeepCaps sees colour images of 32x32 as 64x64).

    Shapes:
        images `b c h w`, result `b c side side`, floats in the units of images.
    """
    return functional.interpolate(images.float(), (side, side), mode="bilinear")


def _check_side(images: Tensor, side: int) -> None:
    height, width = images.shape[2:]
    if not 1 <= side <= min(height, width):
        raise UserError(f"side must be 1 to {min(height, width)} for images of {height}x{width}, got {side}")

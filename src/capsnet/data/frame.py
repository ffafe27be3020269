"""Padding, cropping and scaling of all images of a batch alike.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 7: smallNORB images are shrunk to
48x48, and the centre crop is used for testing.
"""

from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional

from capsnet.errors import UserError


def pad_images(images: Shaped[Tensor, "b c h w"], padding: int) -> Shaped[Tensor, "b c H W"]:
    """Pad each image with `padding` zeros on every side.

    Shapes:
        images `b c h w`, result `b c h+2p w+2p`, of the same type.
    """
    return functional.pad(images, (padding,) * 4) if padding else images


def center_crop(images: Shaped[Tensor, "b c h w"], side: int) -> Shaped[Tensor, "b c s s"]:
    """Crop the centre square of each image; an odd remainder cuts one row or column more at the bottom and the right.

    Shapes:
        images `b c h w`, result `b c side side`, of the same type.

    Raises:
        UserError: images smaller than the square.
    """
    check_side(images.shape[2], images.shape[3], side)
    top, left = ((size - side) // 2 for size in images.shape[2:])
    return images[:, :, top : top + side, left : left + side]


def shrink_images(images: Shaped[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c s s"]:
    """Scale images down to a square by area averaging: each pixel of the result is the mean of the area it covers.

    Differs from the paper:
        The paper does not specify the method. The authors' code calls a bilinear resize without antialiasing, which
        takes every second pixel from 96 to 48. The mean has less noise.

    Shapes:
        images `b c h w`, result `b c side side`, floats in the units of images.

    Raises:
        UserError: images smaller than the result.
    """
    check_side(images.shape[2], images.shape[3], side)
    return functional.interpolate(images.float(), (side, side), mode="area")


def enlarge_images(images: Shaped[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c s s"]:
    """Scale images up to a square by bilinear interpolation (DeepCaps scales 32x32 colour images to 64x64).

    Shapes:
        images `b c h w`, result `b c side side`, floats in the units of images.
    """
    return functional.interpolate(images.float(), (side, side), mode="bilinear")


def check_side(height: int, width: int, side: int) -> None:
    """Refuse a square that is empty or larger than the images.

    Raises:
        UserError: it is.
    """
    if not 1 <= side <= min(height, width):
        raise UserError(f"side must be 1 to {min(height, width)} for images of {height}x{width}, got {side}")

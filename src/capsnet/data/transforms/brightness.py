"""Brightness, contrast and standardisation of a batch, with numbers of each image's own, as in the authors' code.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, released code: brightness by up to 63 of 255,
then contrast by 0.2 to 1.8, then standardisation, none of them cut to the range of a pixel. All take floats; brightness
and standardisation count in units where white is 255.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def draw_uniform(count: int, low: float, high: float, generator: torch.Generator) -> Float[Tensor, " m"]:
    """Draw a number from low to high for each image, on the generator's device.

    Shapes:
        result `count`.
    """
    return low + (high - low) * torch.rand(count, generator=generator, device=generator.device)


def adjust_brightness(images: Float[Tensor, "b c h w"], amounts: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """Add each image's own amount to all of its pixels.

    Shapes:
        images `b c h w`, amounts `b`, result as images.
    """
    return images + amounts[:, None, None, None]


def adjust_contrast(images: Float[Tensor, "b c h w"], factors: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """Scale how far each pixel is from the mean of its channel by the image's own factor.

    Shapes:
        images `b c h w`, factors `b`, result as images.
    """
    mean = images.mean(dim=(2, 3), keepdim=True)
    return torch.lerp(mean, images, factors[:, None, None, None])


def standardize_images(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Give each image zero mean and unit variance over all of its N values: (x - mean) / max(std, 1/sqrt(N)).

    The lower bound keeps an image of one colour at zero; it is small where white is 255.

    Shapes:
        images `b c h w`, result as images.
    """
    count = images[0].numel()
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    std = images.std(dim=(1, 2, 3), keepdim=True, correction=0)
    return (images - mean) / std.clamp(min=count**-0.5)

"""Masks of one image of any size, from a trained segmentation model."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from torch import Tensor, nn

from capsnet.bounds import Bound
from capsnet.errors import UserError
from capsnet.models import SegmentationModel
from capsnet.models.eval_mode import eval_mode
from capsnet.precision import use_precision


def segment(
    model: SegmentationModel, image: str | Path | Shaped[Tensor, "c h w"], threshold: float = 0.5
) -> Bool[Tensor, "n h w"]:
    """Find the mask of each class, at the size of the image: where `measure_pixels` is above a threshold.

    Args:
        model: for two-dimensional images.
        image: a file; or pixels, uint8 or floats in [0, 1].
        threshold: a pixel belongs to a class if its length is above it.

    Shapes:
        image `c h w`; result `n h w`.

    Raises:
        UserError: a file that cannot be read, a model for volumes, pixels of another number of channels, type or
            range, or a threshold outside [0, 1].

    Example:
        >>> masks = segment(load_segmenter("model.safetensors"), "photo.jpg")
        >>> masks.shape
        torch.Size([10, 480, 640])
    """
    Bound(0, 1).check("threshold", threshold)
    return measure_pixels(model, image) > threshold


@torch.no_grad()
def measure_pixels(model: SegmentationModel, image: str | Path | Shaped[Tensor, "c h w"]) -> Float[Tensor, "n h w"]:
    """Compute the length of each class capsule at each pixel of an image.

    The image is scaled to the size of the model, the lengths back to that of the image, both bilinearly; the aspect
    ratio is not kept. The model is in eval mode meanwhile.

    Args:
        model: for two-dimensional images.
        image: a file; or pixels, uint8 or floats in [0, 1].

    Shapes:
        image `c h w`; result `n h w`.

    Raises:
        UserError: as `segment`.
    """
    if model.dims != 2:
        raise UserError(f"segment is for images; this model is for volumes {model.image_shape}: use model.segment")
    pixels = image
    if isinstance(pixels, str | Path):
        pixels = read_image(pixels, model.image_shape[0], model.pixel_range)
    if pixels.ndim != 3 or pixels.shape[0] != model.image_shape[0] or 0 in pixels.shape:
        raise UserError(f"image must be {model.image_shape[0]} x height x width, got {tuple(pixels.shape)}")
    pixels = _to_floats(pixels)
    weight = next(model.parameters())
    scaled = _scale(pixels[None].to(weight.device, weight.dtype), model.image_shape[1:])
    with use_precision("fp32", weight.device), eval_mode(model):
        lengths = model(scaled).lengths
    return _scale(lengths, pixels.shape[1:])[0]


def number_pixels(lengths: Float[Tensor, "n h w"], threshold: float = 0.5) -> UInt8[Tensor, "h w"]:
    """The class number of each pixel, as in the masks of a `MaskFolder`: 0 for the background, else from 1.

    Where several classes are above the threshold, the longest capsule gives the number.

    Raises:
        UserError: more than 255 classes.
    """
    if len(lengths) > 255:
        raise UserError(f"a mask file holds at most 255 classes, the model has {len(lengths)}")
    longest, label = lengths.max(dim=0)
    return torch.where(longest > threshold, label + 1, 0).to(torch.uint8)


def read_image(
    file: str | Path, channels: int, pixel_range: tuple[float, float] | None = None
) -> UInt8[Tensor, "c h w"]:
    """The pixels of an image file, upright, in grey or in colours.

    Args:
        file: an image.
        channels: 1 or 3.
        pixel_range: values that become black and white, of a file of more than 8 bits; None: decided from it.

    Raises:
        UserError: a file that cannot be read, or channels other than 1 and 3.
    """
    # `capsnet.load` imports this room, but no image decoder
    from capsnet.data.images import open_image

    if channels not in (1, 3):
        raise UserError(f"an image file has 1 or 3 channels, the model has {channels}; give a tensor")
    pixels = np.asarray(open_image(Path(file), color=channels == 3, pixel_range=pixel_range))
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], channels).copy()).permute(2, 0, 1)


def _to_floats(pixels: Shaped[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
    if pixels.dtype == torch.uint8:
        return pixels.float() / 255
    if not pixels.is_floating_point():
        raise UserError(f"pixels must be uint8 or floats in [0, 1], got {pixels.dtype}")
    lowest, highest = (float(value) for value in pixels.aminmax())
    if not (lowest >= 0 and highest <= 1):
        raise UserError(f"pixels given as floats must be in [0, 1], got {lowest:g} to {highest:g}; divide by 255?")
    return pixels


def _scale(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    # antialiasing averages pixels where the image is larger than the model's
    return nn.functional.interpolate(maps, tuple(size), mode="bilinear", antialias=True)

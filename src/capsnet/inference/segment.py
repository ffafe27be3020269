"""Masks of one image of any size, from a trained segmentation model."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Shaped
from torch import Tensor, nn

from capsnet.bounds import Bound
from capsnet.errors import UserError
from capsnet.models import SegmentationModel


@torch.no_grad()
def segment(
    model: SegmentationModel, image: str | Path | Shaped[Tensor, "c h w"], threshold: float = 0.5
) -> Bool[Tensor, "n h w"]:
    """Find the mask of each class, at the size of the image.

    The image is scaled to the size of the model, the lengths back to that of the image, both bilinearly; the aspect
    ratio is not kept. The model is in eval mode meanwhile.

    Args:
        model: for two-dimensional images.
        image: a file; or pixels, uint8 or floats in [0, 1].
        threshold: a pixel belongs to a class if its length is above it.

    Shapes:
        image `c h w`; result `n h w`.

    Raises:
        UserError: a file that cannot be read, a model for volumes, pixels of another number of channels, or a threshold
            outside [0, 1].

    Example:
        >>> masks = segment(load_segmenter("model.safetensors"), "photo.jpg")
        >>> masks.shape
        torch.Size([10, 480, 640])
    """
    Bound(0, 1).check("threshold", threshold)
    if model.dims != 2:
        raise UserError(f"segment is for images; this model is for volumes {model.image_shape}: use model.segment")
    pixels = _read(Path(image), model.image_shape[0]) if isinstance(image, str | Path) else image
    if pixels.ndim != 3 or pixels.shape[0] != model.image_shape[0] or 0 in pixels.shape:
        raise UserError(f"image must be {model.image_shape[0]} x height x width, got {tuple(pixels.shape)}")
    if pixels.dtype == torch.uint8:
        pixels = pixels.float() / 255
    weight = next(model.parameters())
    scaled = _scale(pixels[None].to(weight.device, weight.dtype), model.image_shape[1:])
    training = model.training
    model.eval()
    try:
        lengths = model(scaled).lengths
    finally:
        model.train(training)
    return _scale(lengths, pixels.shape[1:])[0] > threshold


def _read(file: Path, channels: int) -> Tensor:
    # `capsnet.load` imports this room, but no image decoder
    from capsnet.data.images import open_image

    if channels not in (1, 3):
        raise UserError(f"an image file has 1 or 3 channels, the model has {channels}; give a tensor")
    # Pillow is loaded for files only

    pixels = np.asarray(open_image(file, color=channels == 3))
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], channels).copy()).permute(2, 0, 1)


def _scale(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    # antialiasing averages pixels where the image is larger than the model's
    return nn.functional.interpolate(maps, tuple(size), mode="bilinear", antialias=True)

"""A picture of a few images and their reconstructions, to monitor training."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from capsnet.data import ImageData
from capsnet.data.pairs import Pairing, fixed_pairs
from capsnet.inference.evaluate import predict_batches
from capsnet.models import CapsuleModel
from capsnet.models.eval_mode import eval_mode


@torch.no_grad()
def draw_examples(
    model: CapsuleModel, data: ImageData, pairing: Pairing | None, count: int = 8
) -> UInt8[np.ndarray, "h w c"] | None:
    """Draw images above their reconstructions from the longest capsule; pairs above their two reconstructed digits.

    Args:
        model: in any mode, which is restored.
        data: the first `count` images are drawn.
        pairing: makes pairs of the images.
        count: number of columns.

    Returns:
        Bytes, grey or colour; None for a model without decoder.
    """
    if not model.has_decoder:
        return None
    with eval_mode(model):
        rows = _decode_images(model, data, count) if pairing is None else _decode_pairs(model, data, pairing, count)
    return _lay_out(rows)


def _decode_images(model: CapsuleModel, data: ImageData, count: int) -> list[Tensor]:
    subset = data.select(torch.arange(min(count, len(data)), device=data.labels.device))
    images, _, output = next(predict_batches(model, subset, batch_size=count))
    return [images, model.reconstruct(output.capsules)]


def _decode_pairs(model: CapsuleModel, data: ImageData, pairing: Pairing, count: int) -> list[Tensor]:
    device = model.device
    pairs = next(fixed_pairs(data.images.to(device), data.labels.to(device), pairing, count))
    capsules = model(model.inputs(pairs.images)).capsules
    return [pairs.images.float() / 255, *(model.reconstruct(capsules, labels) for labels in pairs.labels.T)]


def _lay_out(rows: list[Float[Tensor, "b c h w"]]) -> UInt8[np.ndarray, "height width _"]:
    table = torch.stack(rows)  # row b c h w
    if table.shape[2] not in (1, 3):
        # channels that are not colours, such as smallNORB's two cameras: draw the first
        table = table[:, :, :1]
    table = (table.clamp(0, 1) * 255).round().to(torch.uint8)
    count, images, channels, height, width = table.shape
    pixels = table.permute(0, 3, 1, 4, 2).reshape(count * height, images * width, channels)
    picture: np.ndarray = pixels.cpu().numpy()
    return picture

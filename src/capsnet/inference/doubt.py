"""When a prediction is unsure: a short capsule, a close runner-up, a poor reconstruction, several pieces of ink.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017: length as the presence of a class (section 2),
reconstruction from the longest capsule (section 4.1).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from capsnet.capsules import CapsNetOutput
from capsnet.data import ImageData
from capsnet.data.photo import center_digit
from capsnet.inference.evaluate import predict_batches
from capsnet.models import CapsuleModel
from capsnet.prediction import Doubt

# share of the validation images that passes: 95 % and a margin for other images
_PASS = 0.955
# side of the window in which a reconstruction is compared, as a share of the image's
_WINDOW = 5 / 28
_FEWEST, _MOST = 200, 5000


@dataclass(frozen=True)
class Signals:
    """Confidence signals for each image.

    Args:
        length: of the longest capsule.
        gap: its difference to the second longest.
        error: of its reconstruction, as a share of the image's squared pixels; None without a decoder.
        patch_error: largest error of its reconstruction in a window of 5/28 of the image's side, by mean grey, in
            units of white; None without a decoder.
        pieces: number of separate pieces of ink; None if they were not counted.
    """

    length: Float[Tensor, " b"]
    gap: Float[Tensor, " b"]
    error: Float[Tensor, " b"] | None
    patch_error: Float[Tensor, " b"] | None
    pieces: Int[Tensor, " b"] | None


def read_signals(
    output: CapsNetOutput,
    images: Float[Tensor, "b c h w"],
    reconstructions: Float[Tensor, "b c h w"] | None,
    pieces: Int[Tensor, " b"] | None,
) -> Signals:
    """Compute the signals from a model's output.

    Args:
        output: of the model.
        images: the model's inputs in [0, 1].
        reconstructions: from the longest capsules; None without a decoder.
        pieces: number of separate pieces of ink in each image, if they were counted.
    """
    lengths = output.lengths.float()
    longest = lengths.topk(min(2, lengths.shape[1]), dim=1).values
    error = patch_error = None
    if reconstructions is not None:
        squares = images.square().flatten(1).sum(dim=1)
        error = (reconstructions - images).square().flatten(1).sum(dim=1) / squares.clamp(min=1e-6)
        # detects a missing or extra stroke rather than many faint differences along strokes
        window = max(1, round(min(images.shape[2:]) * _WINDOW))
        means = avg_pool2d((reconstructions - images).mean(dim=1, keepdim=True), window, stride=1)
        patch_error = means.abs().flatten(1).amax(dim=1)
    return Signals(longest[:, 0], longest[:, 0] - longest[:, -1], error, patch_error, pieces)


def find_reasons(signals: Signals, doubt: Doubt) -> list[tuple[str, ...]]:
    """The reasons why each prediction is unsure; empty if it is sure."""
    columns = (signals.length, signals.gap, signals.error, signals.patch_error, signals.pieces)
    nothing = [None] * len(signals.length)
    rows = zip(*(nothing if column is None else column.tolist() for column in columns), strict=True)
    return [doubt.reasons(*row) for row in rows]


@torch.inference_mode()
def calibrate_doubt(model: CapsuleModel, data: ImageData) -> Doubt | None:
    """Choose the limits so that 95.5 % of validation images pass, each signal rejecting the same share.

    Args:
        model: in eval mode.
        data: images of neither the training nor the test split; at most 5,000 are used, evenly spaced.

    Returns:
        The limits; None for fewer than 200 images.
    """
    if len(data) < _FEWEST:
        return None
    count = min(len(data), _MOST)
    # files are sorted by class: the first ones would be those of a few classes
    subset = data.select(torch.arange(count, device=data.labels.device) * len(data) // count)
    signals = _measure(model, subset)
    low, high = 0.0, 1 - _PASS
    doubt = _limits(signals, low)
    # each signal alone may reject up to 4.5 %; together they reject at least that and at most the sum
    for _ in range(30):
        share = (low + high) / 2
        candidate = _limits(signals, share)
        if candidate.passed >= _PASS:
            low, doubt = share, candidate
        else:
            high = share
    return doubt


def _measure(model: CapsuleModel, data: ImageData) -> Signals:
    batches = []
    for images, _, output in predict_batches(model, data):
        reconstructions = model.reconstruct(output.capsules) if model.has_decoder else None
        batches.append(read_signals(output, images, reconstructions, None))
    errors = [batch.error.cpu() for batch in batches if batch.error is not None]
    patch_errors = [batch.patch_error.cpu() for batch in batches if batch.patch_error is not None]
    return Signals(
        length=torch.cat([batch.length for batch in batches]).cpu(),
        gap=torch.cat([batch.gap for batch in batches]).cpu(),
        error=torch.cat(errors) if errors else None,
        patch_error=torch.cat(patch_errors) if patch_errors else None,
        pieces=_count_pieces(model, data),
    )


def _count_pieces(model: CapsuleModel, data: ImageData) -> Int[Tensor, " m"] | None:
    channels, height, width = model.inputs.image_shape
    if channels != 1 or model.preparation != "digit":
        return None
    images = data.images[:, 0].cpu().numpy()
    return torch.tensor([center_digit(Image.fromarray(np.asarray(x)), height, width).pieces for x in images])


def _limits(signals: Signals, share: float) -> Doubt:
    """Limits that each reject `share` of the images, and the share that passes all of them."""
    doubt = Doubt(
        length=float(signals.length.quantile(share)),
        gap=float(signals.gap.quantile(share)),
        error=None if signals.error is None else float(signals.error.quantile(1 - share)),
        patch_error=None if signals.patch_error is None else float(signals.patch_error.quantile(1 - share)),
        pieces=None if signals.pieces is None else 1,
        images=len(signals.length),
        passed=0.0,
    )
    reasons = find_reasons(signals, doubt)
    return replace(doubt, passed=sum(not row for row in reasons) / len(reasons))

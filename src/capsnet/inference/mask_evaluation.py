"""Evaluation of a segmentation model: Dice, IoU and pixel error, of each class and of each image."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from capsnet.data.mask_folder import MaskFolder
from capsnet.functional import dice_score, iou_score
from capsnet.losses import dice_loss, pixel_margin_loss
from capsnet.models import SegmentationModel
from capsnet.models.eval_mode import eval_mode
from capsnet.precision import use_precision
from capsnet.runs.results import MaskClassResult, MaskFileResult, MaskSplitResult

THRESHOLD = 0.5
"""A pixel belongs to a class if the length of its capsule is above this."""
_POSITIVE_WEIGHT = 3.0
_BATCH = 64


@dataclass(frozen=True)
class MaskEvaluation:
    """Results of a segmentation model on images, at the model's size.

    Args:
        data: name of the data set.
        split: `"train"`, `"validation"` or `"test"`; `"all"` of a folder that the model was not trained on.
        n: number of images.
        dice: mean over the images, in each of which all classes are pooled.
        iou: likewise.
        pixel_error: share of pixels whose classes are not exactly the true ones.
        loss: mean over the images of `mask_losses`.
        classes: of each class, all images pooled.
        files: the Dice coefficient of each image.
    """

    data: str
    split: str
    n: int
    dice: float
    iou: float
    pixel_error: float
    loss: float
    classes: tuple[MaskClassResult, ...]
    files: tuple[MaskFileResult, ...]

    def to_record(self) -> MaskSplitResult:
        """The contents of a run's `evaluation.json`: without the images."""
        return {
            "data": self.data,
            "split": self.split,
            "n": self.n,
            "dice": self.dice,
            "iou": self.iou,
            "pixel_error": self.pixel_error,
            "loss": self.loss,
            "classes": list(self.classes),
        }

    def to_dict(self) -> MaskSplitResult:
        """The object that `capsnet evaluate --json` prints."""
        return {**self.to_record(), "files": list(self.files)}


def mask_losses(lengths: Float[Tensor, "b n h w"], masks: Bool[Tensor, "b n h w"]) -> Float[Tensor, " b"]:
    """The loss of each image with which runs train: margin loss of each pixel plus Dice loss pooled over classes."""
    # margins for each pixel, overlap for each image
    loss = pixel_margin_loss(lengths, masks, positive_weight=_POSITIVE_WEIGHT, reduction="none")
    return loss + dice_loss(lengths, masks, pooled=True, reduction="none")


def pooled_dice(predicted: Bool[Tensor, "b n h w"], masks: Bool[Tensor, "b n h w"]) -> Float[Tensor, " b"]:
    """The Dice coefficient of each image, all classes pooled."""
    return dice_score(predicted.flatten(1, 2), masks.flatten(1, 2))


def mask_tensors(
    data: MaskFolder, model: SegmentationModel
) -> tuple[Float[Tensor, "b c h w"], Bool[Tensor, "b n h w"]]:
    """Images in [0, 1] and the mask of each class, on the model's device."""
    device = next(model.parameters()).device
    numbers = torch.arange(1, len(data.class_names) + 1, device=device)[:, None, None]
    return data.images.to(device).float() / 255, data.masks.to(device)[:, None] == numbers


@torch.no_grad()
def evaluate_masks(model: SegmentationModel, data: MaskFolder, *, name: str, split: str) -> MaskEvaluation:
    """Evaluate a segmentation model on images with masks, in batches; the model is in eval mode meanwhile.

    Args:
        model: of the size, channels and classes of `data`.
        data: images with masks.
        name: of the data.
        split: which part of them.

    Example:
        >>> tested = find_masks(model, "scans")
        >>> evaluate_masks(model, tested.data, name="scans", split=tested.split).dice
    """
    losses, dice, iou = [], [], []
    # of each class: pixels that are predicted and true, predicted, true, and wrong
    counts = torch.zeros(4, len(data.class_names), dtype=torch.long)
    wrong = 0
    device = next(model.parameters()).device
    with use_precision("fp32", device), eval_mode(model):
        for rows in torch.arange(len(data)).split(_BATCH):
            images, masks = mask_tensors(data.pick(rows), model)
            lengths = model(images).lengths
            predicted = lengths > THRESHOLD
            losses.append(mask_losses(lengths, masks).cpu())
            dice.append(pooled_dice(predicted, masks).cpu())
            iou.append(iou_score(predicted.flatten(1, 2), masks.flatten(1, 2)).cpu())
            kinds = (predicted & masks, predicted, masks, predicted != masks)
            counts += torch.stack([kind.sum(dim=(0, 2, 3)) for kind in kinds]).cpu()
            wrong += int((predicted != masks).any(dim=1).sum())
    scores = torch.cat(dice)
    return MaskEvaluation(
        data=name,
        split=split,
        n=len(data),
        dice=float(scores.mean()),
        iou=float(torch.cat(iou).mean()),
        pixel_error=wrong / data.masks.numel(),
        loss=float(torch.cat(losses).mean()),
        classes=_describe_classes(data.class_names, counts, data.masks.numel()),
        files=tuple({"file": file, "dice": one} for file, one in zip(data.files, scores.tolist(), strict=True)),
    )


def _describe_classes(
    class_names: Sequence[str], counts: Int[Tensor, "4 n"], pixels: int
) -> tuple[MaskClassResult, ...]:
    """Scores of each class from its pixels that are predicted and true, predicted, true, and wrong."""
    rows = zip(class_names, counts.T.tolist(), strict=True)
    return tuple(
        {
            "class_name": name,
            # as `dice_score`: 1 where a class is neither true nor predicted
            "dice": 2 * both / (predicted + true) if predicted + true else 1.0,
            "iou": both / (both + wrong) if both + wrong else 1.0,
            "pixel_error": wrong / pixels,
            "share": true / pixels,
        }
        for name, (both, predicted, true, wrong) in rows
    )

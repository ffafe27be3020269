"""What the plain loop trains beside networks that classify images: segmentation models and models of sequences."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.data.input_kind import find_input_kind
from capsnet.data.mask_folder import MaskFolder
from capsnet.data.mask_splits import hold_out_validation, load_masks
from capsnet.data.recordings import hash_sequences, hold_out_sequences, load_recordings, load_series
from capsnet.data.sequences import SequenceData
from capsnet.errors import UserError
from capsnet.functional import dice_score, iou_score
from capsnet.losses import dice_loss, pixel_margin_loss
from capsnet.losses.class_loss import class_loss
from capsnet.models import (
    SEGMENTERS,
    SegmentationModel,
    SequenceModel,
    create_segmenter,
    create_sequence_model,
    load_segmenter,
    load_sequence_model,
)
from capsnet.runs.config import RunConfig

_POSITIVE_WEIGHT = 3.0
_TEST_BATCH = 64

M = TypeVar("M", SegmentationModel, SequenceModel)
"""The type of a model."""
D = TypeVar("D", MaskFolder, SequenceData)
"""The type of its data."""


@dataclass(frozen=True)
class Score:
    """The results of a model on a split.

    Args:
        n: number of samples.
        score: Dice coefficient or accuracy.
        loss: mean over the samples.
        record: all results, as they stand in `evaluation.json`.
    """

    n: int
    score: float
    loss: float
    record: Mapping[str, object]


class Learner(ABC, Generic[M, D]):
    """A model and its data, as the plain loop sees them.

    Attributes:
        measure: name of the score, in [0, 1].
        noun: of a sample.
        model: is trained in place.
        train: for training.
        validation: selects the best weights, or None.
        test: is used once.
        notes: sentences for the user.
    """

    measure: str
    noun: str
    model: M
    train: D
    validation: D | None
    test: D
    notes: tuple[str, ...]

    def split(self, config: RunConfig) -> None:
        """Hold out validation samples, then limit the training samples, by hashes of their names."""
        settings, seed = config.data, config.run.seed
        if not settings.validation:
            self.validation = None
        elif self.validation is None:
            self.train, self.validation = self.hold_out(self.train, settings.validation, seed)
        if settings.limit is not None and settings.limit < len(self.train):
            self.train, _ = self.hold_out(self.train, len(self.train) - settings.limit, seed + 1)

    @abstractmethod
    def hold_out(self, data: D, share: int | float, seed: int) -> tuple[D, D | None]:
        """Divide samples by a hash of their names."""

    @abstractmethod
    def batches(self, size: int, generator: torch.Generator) -> Iterator[D]:
        """The training samples of an epoch in random order."""

    @abstractmethod
    def measure_batch(self, batch: D) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The loss, and the mean score, of training samples."""

    @abstractmethod
    def evaluate(self, model: M, data: D) -> Score:
        """The results on a split."""

    @abstractmethod
    def load(self, file: Path) -> M:
        """Load weights that were saved during training."""

    def names(self, data: D | None) -> list[str]:
        """What identifies each sample of a split in the record of a run: its file, or a hash."""
        return list(data.files or ()) if data is not None else []


class MaskLearner(Learner[SegmentationModel, MaskFolder]):
    """A segmentation model on a folder of images/ and masks/, with margin loss of each pixel plus Dice loss.

    Raises:
        UserError: data that cannot be read, or a model that does not fit them.
    """

    measure, noun = "dice", "images"

    def __init__(self, config: RunConfig) -> None:
        splits = load_masks(config.data.name, (config.data.image_size, config.data.image_size))
        self.train, self.validation, self.test, self.notes = splits.train, splits.validation, splits.test, splits.notes
        self.split(config)
        options = _own_options(config, "image_shape", "num_classes", "decoder")
        if "decoder" in inspect.signature(SEGMENTERS.get(config.model.name).build).parameters:
            # without a reconstruction loss it would stay untrained
            options["decoder"] = False
        shape, names = self.train.image_shape, self.train.class_names
        self.model = create_segmenter(config.model.name, image_shape=shape, num_classes=len(names), **options)
        self.model.class_names = names

    def hold_out(self, data: MaskFolder, share: int | float, seed: int) -> tuple[MaskFolder, MaskFolder | None]:
        """Divide images by a hash of their names."""
        return hold_out_validation(data, share, seed)

    def batches(self, size: int, generator: torch.Generator) -> Iterator[MaskFolder]:
        """The training images in random order."""
        for rows in torch.randperm(len(self.train), generator=generator).split(size):
            yield self.train.pick(rows)

    def measure_batch(self, batch: MaskFolder) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Margin loss of each pixel plus Dice loss of each image, and the Dice coefficient."""
        images, masks = _to_tensors(batch, self.model)
        lengths = self.model(images).lengths
        # margins for each pixel, overlap for each image
        loss = pixel_margin_loss(lengths, masks, positive_weight=_POSITIVE_WEIGHT)
        loss = loss + dice_loss(lengths, masks, pooled=True)
        return loss, _pooled_dice(lengths.detach() > 0.5, masks).mean()

    @torch.no_grad()
    def evaluate(self, model: SegmentationModel, data: MaskFolder) -> Score:
        """Dice and IoU: the mean over images, all classes pooled; and of each class, all images pooled."""
        model.eval()
        losses, dice, iou, marked, true = [], [], [], [], []
        for rows in torch.arange(len(data)).split(_TEST_BATCH):
            images, masks = _to_tensors(data.pick(rows), model)
            lengths = model(images).lengths
            predicted = lengths > 0.5
            loss = pixel_margin_loss(lengths, masks, positive_weight=_POSITIVE_WEIGHT, reduction="none")
            losses.append(loss + dice_loss(lengths, masks, pooled=True, reduction="none"))
            dice.append(_pooled_dice(predicted, masks))
            iou.append(iou_score(predicted.flatten(1, 2), masks.flatten(1, 2)))
            marked.append(predicted.cpu())
            true.append(masks.cpu())
        # n x (b h) x w: all images of a class are one mask
        both = [torch.cat(part).transpose(0, 1).flatten(1, 2) for part in (marked, true)]
        classes = zip(data.class_names, dice_score(*both).tolist(), iou_score(*both).tolist(), strict=True)
        score, mean_loss = float(torch.cat(dice).mean()), float(torch.cat(losses).mean())
        record = {
            "n": len(data),
            "dice": score,
            "iou": float(torch.cat(iou).mean()),
            "loss": mean_loss,
            "classes": [{"class_name": name, "dice": one, "iou": other} for name, one, other in classes],
        }
        return Score(len(data), score, mean_loss, record)

    def load(self, file: Path) -> SegmentationModel:
        """Load saved weights."""
        return load_segmenter(file)


class SequenceLearner(Learner[SequenceModel, SequenceData]):
    """A model of sequences on WAV files in class folders, or on a `.ts` file.

    Raises:
        UserError: data that cannot be read, or a model that does not fit them.
    """

    measure, noun = "accuracy", "sequences"

    def __init__(self, config: RunConfig) -> None:
        name = config.data.name
        splits = load_recordings(name) if find_input_kind(name) == "recordings" else load_series(name)
        self.train, self.validation, self.test, self.notes = splits.train, splits.validation, splits.test, splits.notes
        self.split(config)
        options = _own_options(config, "in_channels", "num_classes", "decoder")
        channels, names = self.train.sequences.shape[1], self.train.class_names
        self.model = create_sequence_model(config.model.name, in_channels=channels, num_classes=len(names), **options)
        self.model.class_names, self.model.preparation = names, self.train.preparation
        shortest = 1 if self.model.windows is None else self.model.windows.size
        for data in (self.train, self.validation, self.test):
            if data is not None and int(data.lengths.min()) < shortest:
                row = int(data.lengths.argmin())
                which = f"sequence {row + 1}" if data.files is None else data.files[row]
                raise UserError(f"{which} has {int(data.lengths[row])} steps, the model needs {shortest}; remove it")

    def names(self, data: SequenceData | None) -> list[str]:
        """The file of each recording; cases of a `.ts` file have none, and are named by a hash of their values."""
        if data is None or data.files is not None:
            return super().names(data)
        return [str(key) for key in hash_sequences(data).tolist()]

    def hold_out(self, data: SequenceData, share: int | float, seed: int) -> tuple[SequenceData, SequenceData | None]:
        """Divide the sequences of each class by a hash of their names."""
        return hold_out_sequences(data, share, seed)

    def batches(self, size: int, generator: torch.Generator) -> Iterator[SequenceData]:
        """The training sequences, in batches of similar lengths."""
        return self.train.batches(size, generator)

    def measure_batch(self, batch: SequenceData) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The model's own loss, and the accuracy."""
        device = next(self.model.parameters()).device
        labels = batch.labels.to(device)
        output = self.model(batch.sequences.to(device), batch.lengths.to(device))
        correct = output.lengths.detach().argmax(dim=1) == labels
        return class_loss(self.model.loss, output, labels).mean(), correct.float().mean()

    @torch.no_grad()
    def evaluate(self, model: SequenceModel, data: SequenceData) -> Score:
        """Accuracy, loss, and the confusion of classes: rows are true classes."""
        model.eval()
        device, classes = next(model.parameters()).device, len(data.class_names)
        loss, confusion = 0.0, torch.zeros(classes, classes, dtype=torch.long)
        for batch in data.batches(_TEST_BATCH):
            labels = batch.labels.to(device)
            output = model(batch.sequences.to(device), batch.lengths.to(device))
            loss += float(class_loss(model.loss, output, labels).sum())
            predicted = output.lengths.argmax(dim=1).cpu()
            confusion += torch.bincount(batch.labels * classes + predicted, minlength=classes**2).reshape(classes, -1)
        correct, loss = int(confusion.trace()), loss / len(data)
        record = {
            "n": len(data),
            "accuracy": correct / len(data),
            "error_percent": 100 * (len(data) - correct) / len(data),
            "margin_loss": loss,
            "reconstruction_mse": None,
            "confusion": confusion.tolist(),
            "class_names": list(data.class_names),
        }
        return Score(len(data), correct / len(data), loss, record)

    def load(self, file: Path) -> SequenceModel:
        """Load saved weights."""
        return load_sequence_model(file)


def _own_options(config: RunConfig, *fixed: str) -> dict[str, object]:
    """The model's options; those in `fixed` follow from the data."""
    for name in fixed:
        if name in config.model.options:
            raise UserError(f"model option {name} must be left out: it follows from the data, or is not trained here")
    options: Mapping[str, object] = config.model.options
    return dict(options)


def _to_tensors(batch: MaskFolder, model: SegmentationModel) -> tuple[Tensor, Tensor]:
    """Images in [0, 1] and the mask of each class, on the model's device."""
    device = next(model.parameters()).device
    numbers = torch.arange(1, len(batch.class_names) + 1, device=device)[:, None, None]
    return batch.images.to(device).float() / 255, batch.masks.to(device)[:, None] == numbers


def _pooled_dice(predicted: Tensor, masks: Tensor) -> Float[Tensor, " b"]:
    """The Dice coefficient of each image, all classes pooled."""
    return dice_score(predicted.flatten(1, 2), masks.flatten(1, 2))

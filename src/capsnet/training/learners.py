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

from capsnet.data.holdout import check_limit
from capsnet.data.input_kind import find_input_kind
from capsnet.data.mask_folder import MaskFolder
from capsnet.data.mask_splits import hash_pixels, hold_out_validation, load_masks
from capsnet.data.recordings import (
    hold_out_sequences,
    key_sequences,
    load_recordings,
    load_series,
    name_sequences,
)
from capsnet.data.sequences import SequenceData
from capsnet.errors import UserError
from capsnet.inference.find_samples import check_steps
from capsnet.inference.mask_evaluation import THRESHOLD, evaluate_masks, mask_losses, mask_tensors, pooled_dice
from capsnet.inference.sequence_evaluation import evaluate_sequences
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
        name: of the data.
        model: is trained in place.
        train: for training.
        validation: selects the best weights, or None.
        test: is used once.
        notes: sentences for the user.
    """

    measure: str
    noun: str
    name: str
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
            self.check_limit(settings.limit)
            self.train, _ = self.hold_out(self.train, len(self.train) - settings.limit, seed + 1)

    def check_limit(self, limit: int) -> None:
        """Refuse a number of training samples that cannot hold one of each class, where they have one class each."""

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
    def evaluate(self, model: M, data: D, split: str = "validation") -> Score:
        """The results on a split of this name."""

    @abstractmethod
    def load(self, file: Path) -> M:
        """Load weights that were saved during training."""

    @abstractmethod
    def names(self, data: D) -> list[str]:
        """What names each sample of a split in the record of a run: its file, or a hash."""

    @abstractmethod
    def keys(self, data: D) -> list[str]:
        """A hash of what each sample of a split holds."""


class MaskLearner(Learner[SegmentationModel, MaskFolder]):
    """A segmentation model on a folder of images/ and masks/, with margin loss of each pixel plus Dice loss.

    Raises:
        UserError: data that cannot be read, or a model that does not fit them.
    """

    measure, noun = "dice", "images"

    def __init__(self, config: RunConfig) -> None:
        self.name = config.data.name
        splits = load_masks(self.name, (config.data.image_size, config.data.image_size))
        self.train, self.validation, self.test, self.notes = splits.train, splits.validation, splits.test, splits.notes
        self.split(config)
        options = _own_options(config, "image_shape", "num_classes", "decoder")
        if "decoder" in inspect.signature(SEGMENTERS.get(config.model.name).build).parameters:
            # without a reconstruction loss it would stay untrained
            options["decoder"] = False
        shape, names = self.train.image_shape, self.train.class_names
        self.model = create_segmenter(config.model.name, image_shape=shape, num_classes=len(names), **options)
        self.model.class_names, self.model.pixel_range = names, self.train.pixel_range

    def names(self, data: MaskFolder) -> list[str]:
        """The file of each image."""
        return list(data.files)

    def keys(self, data: MaskFolder) -> list[str]:
        """A hash of each image's pixels."""
        return hash_pixels(data)

    def hold_out(self, data: MaskFolder, share: int | float, seed: int) -> tuple[MaskFolder, MaskFolder | None]:
        """Divide images by a hash of their names."""
        return hold_out_validation(data, share, seed)

    def batches(self, size: int, generator: torch.Generator) -> Iterator[MaskFolder]:
        """The training images in random order."""
        for rows in torch.randperm(len(self.train), generator=generator).split(size):
            yield self.train.pick(rows)

    def measure_batch(self, batch: MaskFolder) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Margin loss of each pixel plus Dice loss of each image, and the Dice coefficient."""
        images, masks = mask_tensors(batch, self.model)
        lengths = self.model(images).lengths
        return mask_losses(lengths, masks).mean(), pooled_dice(lengths.detach() > THRESHOLD, masks).mean()

    def evaluate(self, model: SegmentationModel, data: MaskFolder, split: str = "validation") -> Score:
        """Dice and IoU: the mean over images, all classes pooled; and of each class, all images pooled."""
        result = evaluate_masks(model, data, name=self.name, split=split)
        return Score(result.n, result.dice, result.loss, result.to_record())

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
        self.name = name = config.data.name
        splits = load_recordings(name) if find_input_kind(name) == "recordings" else load_series(name)
        self.train, self.validation, self.test, self.notes = splits.train, splits.validation, splits.test, splits.notes
        self.split(config)
        options = _own_options(config, "in_channels", "num_classes", "decoder")
        channels, names = self.train.sequences.shape[1], self.train.class_names
        self.model = create_sequence_model(config.model.name, in_channels=channels, num_classes=len(names), **options)
        self.model.class_names, self.model.preparation = names, self.train.preparation
        for data in (self.train, self.validation, self.test):
            if data is not None:
                check_steps(self.model, data)

    def names(self, data: SequenceData) -> list[str]:
        """The file of each recording; cases of a `.ts` file have none, and are named by a hash of their values."""
        return name_sequences(data)

    def keys(self, data: SequenceData) -> list[str]:
        """A hash of each recording's file, or of the values of a series."""
        return key_sequences(data, self.name)

    def check_limit(self, limit: int) -> None:
        """Refuse fewer sequences than classes."""
        check_limit("limit", limit, self.train.labels)

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

    def evaluate(self, model: SequenceModel, data: SequenceData, split: str = "validation") -> Score:
        """Accuracy, loss, and the confusion of classes: rows are true classes."""
        result = evaluate_sequences(model, data, name=self.name, split=split)
        return Score(result.n, result.accuracy, result.margin_loss, result.to_record())

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

"""Choose what a segmentation model or a model of sequences is tested on: a split of its run, or other data."""

import shlex
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, cast

import torch

from capsnet.data.formats import printable_name
from capsnet.data.input_kind import find_input_kind
from capsnet.data.layout import Split
from capsnet.data.mask_folder import MaskFolder
from capsnet.data.mask_splits import hash_pixels, read_masks_for, read_masks_of_split
from capsnet.data.recordings import (
    key_sequences,
    name_sequences,
    read_recordings_for,
    read_series_for,
    read_series_of_split,
)
from capsnet.data.sequences import SequenceData
from capsnet.errors import UserError
from capsnet.models import SegmentationModel, SequenceModel
from capsnet.runs.folder import Run
from capsnet.runs.splits import Splits, read_splits

D = TypeVar("D", MaskFolder, SequenceData)
"""The type of the data."""

_SPLITS = ("train", "validation", "test")
# data that hold this share of a run's samples are its own, in another place
_SAME = 0.9


@dataclass(frozen=True)
class TestSamples(Generic[D]):
    """What a model is tested on.

    Args:
        name: of the data.
        split: `"train"`, `"validation"` or `"test"`; `"all"` of data that the model was not trained on.
        data: in the model's size and with its classes.
        notes: sentences for the user.
    """

    # the name is no test's
    __test__ = False

    name: str
    split: str
    data: D
    notes: tuple[str, ...]


def find_masks(
    model: SegmentationModel, data: str | Path | None = None, split: str | None = None, *, run: Run | None = None
) -> TestSamples[MaskFolder]:
    """Find the images with masks to test a segmentation model on.

    Args:
        model: for two-dimensional images.
        data: a folder of images/ and masks/; None: that of the run.
        split: `"train"`, `"validation"` or `"test"`. None: all images of a folder that the model was not trained on,
            else the test split. The run's own folder is recognised by its images, even if it was moved.
        run: the model's run, which records its splits.

    Raises:
        UserError: no data, data of another kind, or classes that the model does not have.
    """
    if model.dims != 2:
        raise UserError(f"the model is for volumes {model.image_shape}; folders of images/ and masks/ hold images")
    return _find(_Masks(model), data, split, run)


def find_sequences(
    model: SequenceModel, data: str | Path | None = None, split: str | None = None, *, run: Run | None = None
) -> TestSamples[SequenceData]:
    """Find the sequences to test a model on.

    Args:
        model: of sequences.
        data: WAV files in class folders, or a `.ts` file; None: those of the run.
        split: as `find_masks`.
        run: the model's run, which records its splits.

    Raises:
        UserError: no data, data of another kind, or classes that the model does not have.
    """
    samples = _find(_Sequences(model), data, split, run)
    check_steps(model, samples.data)
    return samples


def check_steps(model: SequenceModel, data: SequenceData) -> None:
    """Refuse a sequence that is shorter than the windows of a model.

    Raises:
        UserError: the message names the sequence.
    """
    shortest = 1 if model.windows is None else model.windows.size
    row = int(data.lengths.argmin())
    if int(data.lengths[row]) < shortest:
        which = f"sequence {row + 1}" if data.files is None else data.files[row]
        raise UserError(f"{which} has {int(data.lengths[row])} steps, the model needs {shortest}; remove it")


class _Reader(ABC, Generic[D]):
    """Reads data of one kind for a model."""

    noun: str

    @abstractmethod
    def read_split(self, name: str, split: str) -> D:
        """The samples of a split of a run's data, perhaps among others."""

    @abstractmethod
    def read_all(self, name: str, split: Split | None) -> D:
        """All samples of other data, or those of a split folder."""

    @abstractmethod
    def names(self, data: D) -> list[str]:
        """What names each sample in the record of a run."""

    @abstractmethod
    def keys(self, data: D, name: str) -> list[str]:
        """A hash of what each sample of the data of this name holds."""

    def all_keys(self, data: D, name: str) -> set[str]:
        """The hashes of `data` and of what lies beside it as another split."""
        return set(self.keys(data, name))


class _Masks(_Reader[MaskFolder]):
    noun = "images"

    def __init__(self, model: SegmentationModel) -> None:
        channels, height, width = model.image_shape
        self.class_names, self.size, self.color = model.class_names, (height, width), channels == 3
        self.pixel_range = model.pixel_range

    def read_split(self, name: str, split: str) -> MaskFolder:
        return read_masks_of_split(
            name, split, self.class_names, self.size, color=self.color, pixel_range=self.pixel_range
        )

    def read_all(self, name: str, split: Split | None) -> MaskFolder:
        return read_masks_for(
            name, self.class_names, self.size, color=self.color, split=split, pixel_range=self.pixel_range
        )

    def names(self, data: MaskFolder) -> list[str]:
        return list(data.files)

    def keys(self, data: MaskFolder, name: str) -> list[str]:
        return hash_pixels(data)


class _Sequences(_Reader[SequenceData]):
    def __init__(self, model: SequenceModel) -> None:
        self.model = model
        self.noun = "series" if model.preparation is None else "recordings"

    def read_split(self, name: str, split: str) -> SequenceData:
        if self.model.preparation is None:
            return read_series_of_split(name, split, self.model.class_names)
        return self.read_all(name, None)

    def read_all(self, name: str, split: Split | None) -> SequenceData:
        preparation, class_names = self.model.preparation, self.model.class_names
        if (find_input_kind(name) == "series") != (preparation is None):
            needed = "a .ts file" if preparation is None else "a folder of WAV files in class folders"
            raise UserError(f"data must be {needed} for this model, got {printable_name(name)}")
        if preparation is None:
            data = read_series_for(name, class_names, split=split)
        else:
            data = read_recordings_for(name, class_names, preparation, split=split)
        channels = data.sequences.shape[1]
        if channels != self.model.in_channels:
            raise UserError(f"{printable_name(name)} has {channels} channels, the model takes {self.model.in_channels}")
        return data

    def names(self, data: SequenceData) -> list[str]:
        return name_sequences(data)

    def keys(self, data: SequenceData, name: str) -> list[str]:
        return key_sequences(data, name)

    def all_keys(self, data: SequenceData, name: str) -> set[str]:
        if self.model.preparation is not None:
            return set(self.keys(data, name))
        # NAME_TRAIN.ts and NAME_TEST.ts, whichever `data` is
        return {key for split in ("train", "test") for key in self.keys(self.read_split(name, split), name)}


def _find(reader: _Reader[D], data: str | Path | None, split: str | None, run: Run | None) -> TestSamples[D]:
    if split not in (None, *_SPLITS):
        raise UserError(f"split must be one of {', '.join(_SPLITS)}, got {split!r}")
    own = None if run is None else run.config.data.name
    if data is None and own is None:
        raise UserError("a weights file does not record what it was trained on; give `data`, or the run's folder")
    name = str(own if data is None else data)
    if not Path(name).exists():
        # figures and reports take the data of the run alone
        moved = "" if data is not None or run is None else f"; put it back, or {_evaluate_elsewhere(run)}"
        raise UserError(f"{printable_name(name)}: no such folder or file{moved}")
    record = None if run is None else read_splits(run.folder)
    if own is not None and Path(name).resolve() == Path(own).resolve():
        return _pick_own(reader, name, split or "test", record or {})
    whole = reader.read_all(name, None)
    learned, recorded = _recorded_keys(record or {}), set(reader.keys(whole, name))
    every = set().union(*learned.values())
    if every and len(every & reader.all_keys(whole, name)) >= _SAME * len(every):
        return _pick_own(reader, name, split or "test", record or {})
    if split is not None:
        whole = reader.read_all(name, cast(Split, split))
        recorded = set(reader.keys(whole, name))
    which = f"all {len(whole):,} {reader.noun}" if split is None else f"the {len(whole):,} {reader.noun} of {split}"
    notes = [f"{which} of {printable_name(name)} are tested"]
    repeated = (learned.get("train", set()) | learned.get("validation", set())) & recorded
    if repeated:
        notes.append(f"{len(repeated):,} of these {reader.noun} were training or validation {reader.noun} of the run")
    return TestSamples(name, split or "all", whole, tuple(notes))


def _evaluate_elsewhere(run: Run) -> str:
    """The command that tests a run whose data was moved."""
    return f"test the run with capsnet evaluate {shlex.quote(str(run.folder))} --data NEW_PATH"


def _pick_own(reader: _Reader[D], name: str, split: str, record: Splits) -> TestSamples[D]:
    """The samples of a run's split that are still there."""
    recorded = {str(one) for one in cast(list[object], record.get(split) or [])}
    if not recorded:
        if not record:
            raise UserError(f"the run has no splits.json to say which {reader.noun} it held out; give other `data`")
        raise UserError(f"the run held no {reader.noun} out for {split}; its splits are train and test")
    part = reader.read_split(name, split)
    rows = torch.tensor([row for row, one in enumerate(reader.names(part)) if one in recorded], dtype=torch.long)
    if not len(rows):
        raise UserError(f"{printable_name(name)} holds none of the {reader.noun} of the run's {split} split")
    chosen, notes = part.pick(rows), []
    gone = len(recorded - set(reader.names(chosen)))
    if gone:
        notes.append(f"{gone:,} of {len(recorded):,} {reader.noun} of the run's {split} split are no longer there")
    keys = _recorded_keys(record).get(split)
    changed = len(set(reader.keys(chosen, name)) - keys) if keys else 0
    if changed:
        notes.append(f"{changed:,} of {len(recorded):,} {reader.noun} of the run's {split} split have changed since")
    return TestSamples(name, split, chosen, tuple(notes))


def _recorded_keys(record: Splits) -> dict[str, set[str]]:
    """The hashes of each split's samples; empty for runs of older versions."""
    keys = record.get("keys")
    if not isinstance(keys, dict):
        return {}
    return {str(split): set(map(str, values)) for split, values in keys.items() if isinstance(values, list)}

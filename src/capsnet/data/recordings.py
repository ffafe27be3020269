"""A person's own recordings and time series for training: WAV files in class folders, and `.ts` files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from capsnet.data.formats import printable_name
from capsnet.data.holdout import hash_images, hash_names, hold_out_by_hash
from capsnet.data.input_kind import find_series
from capsnet.data.layout import Layout, Split, find_layout
from capsnet.data.sequences import SequenceData, pad_sequences
from capsnet.data.spectrogram import LogMel, read_recording
from capsnet.data.survey import Spread, describe_classes, listed, make_spread
from capsnet.data.time_series import read_ts
from capsnet.errors import UserError

_TEST_SHARE = 0.2


@dataclass(frozen=True)
class SequenceSplits:
    """Sequences for training, validation and testing.

    Args:
        name: the folder or file.
        train: for training.
        test: for the test.
        validation: the folder's own validation recordings, or None.
        seconds: lengths of the recordings; None: they are no recordings.
        notes: sentences for the user.
    """

    name: str
    train: SequenceData
    test: SequenceData
    validation: SequenceData | None
    seconds: Spread | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Recording:
    """A spectrogram, and what its file is like."""

    spectrogram: Float[Tensor, "c t"]
    seconds: float
    rate: int
    channels: int
    is_silent: bool


def load_recordings(folder: str | Path, preparation: LogMel | None = None) -> SequenceSplits:
    """Read the log-mel spectrograms of WAV files in class folders, or in class folders in train, val and test.

    Without a test split, about a fifth of each class is held out, by a hash of each file's name.

    Args:
        folder: as of images (`find_layout`), with WAV files.
        preparation: None: 8,000 samples a second and 40 bands.

    Raises:
        UserError: a folder without class folders, a file that is no WAV file or holds no sound, or a class with too few
            recordings.
    """
    preparation = preparation or LogMel()
    layout = find_layout(Path(folder))
    read: dict[str, _Recording] = {}
    parts = {split: _read_split(layout, split, preparation, read) for split in layout.splits}
    _check_classes(layout, parts["train"], needed=1 if "test" in parts else 2)
    notes = [*layout.notes, *_describe(list(read.values()), preparation)]
    if "test" not in parts:
        assert parts["train"].files is not None, "recordings are files"
        # names relative to the split's folder: sounds/train and sounds hold out the same recordings
        names = [str((layout.folder / name).relative_to(layout.roots["train"])) for name in parts["train"].files]
        train, test = _hold_out(parts["train"], hash_names(names), _TEST_SHARE, "test")
        notes.append(_describe_test(len(test), len(parts["train"]), "recordings", "a hash of their names"))
        parts |= {"train": train, "test": test}
    notes += describe_classes(layout.class_names, _count(parts["train"]))
    spread = make_spread([recording.seconds for recording in read.values()])
    return SequenceSplits(
        str(folder), parts["train"], parts["test"], parts.get("validation"), spread, tuple(map(printable_name, notes))
    )


def read_recordings_for(
    folder: str | Path, class_names: Sequence[str], preparation: LogMel, *, split: Split | None = None
) -> SequenceData:
    """Read all recordings of a folder, or of one of its split folders, for a model that did not learn from them.

    Args:
        folder: as `load_recordings`; it may lack some of the classes.
        class_names: of the model.
        preparation: of the model.
        split: None: all recordings.

    Raises:
        UserError: as `load_recordings`, no such split folder, or a class that the model does not have.
    """
    layout = find_layout(Path(folder), class_names=class_names)
    if split is not None and (split not in layout.splits or not layout.has_splits):
        raise UserError(
            f"{printable_name(folder)} has no split folder {split}; leave out `split` to test all recordings"
        )
    parts = [_read_split(layout, one, preparation, {}) for one in layout.splits if split in (None, one)]
    rows = [(part.sequences[k, :, : int(part.lengths[k])], part, k) for part in parts for k in range(len(part))]
    files = [file for part in parts for file in part.files or ()]
    data = pad_sequences([row[0] for row in rows], [int(part.labels[k]) for _, part, k in rows], class_names, files)
    return replace(data, preparation=preparation)


def read_series_for(path: str | Path, class_names: Sequence[str], *, split: str | None = None) -> SequenceData:
    """Read a `.ts` file for a model that did not learn from it.

    Args:
        path: the file, or a folder with one NAME_TRAIN.ts: of that its NAME_TEST.ts, if there is one.
        class_names: of the model.
        split: `"train"` or `"test"`, of a folder; None: see above.

    Raises:
        UserError: files that `read_ts` refuses, no such split, or a class that the model does not have.
    """
    file = Path(path)
    if file.is_dir():
        train = _find_train(file)
        other = _find_test(train)
        if split == "test" and other is None:
            raise UserError(f"{printable_name(file)} holds no {_test_name(train)}; leave out `split`")
        file = train if split == "train" or other is None else other
        split = None if split in ("train", "test") else split
    if split is not None:
        raise UserError(f"{printable_name(path)} has no split {split}; leave out `split` to test all its series")
    return _match_classes(read_ts(file), file, class_names)


def read_series_of_split(path: str | Path, split: str, class_names: Sequence[str]) -> SequenceData:
    """Read the `.ts` file that holds a split of `load_series`, with the classes of a model that was trained on it.

    Args:
        path: as `load_series`.
        split: `"train"`, `"validation"` or `"test"`; if it was held out, the result holds all series.
        class_names: of the model.

    Raises:
        UserError: as `read_series_for`.
    """
    train = _find_train(Path(path)) if Path(path).is_dir() else Path(path)
    other = _find_test(train)
    file = train if split != "test" or other is None else other
    return _match_classes(read_ts(file), file, class_names)


def _match_classes(data: SequenceData, path: Path, class_names: Sequence[str]) -> SequenceData:
    """Number the classes as a model does."""
    unknown = [name for name in data.class_names if name not in class_names]
    if unknown:
        classes = ", ".join(class_names)
        raise UserError(f"{printable_name(path)}: the model has no class {unknown[0]!r}; its classes: {classes}")
    order = torch.tensor([list(class_names).index(name) for name in data.class_names])
    return replace(data, labels=order[data.labels], class_names=tuple(class_names))


def load_series(path: str | Path) -> SequenceSplits:
    """Read a `.ts` file; of NAME_TRAIN.ts, the test split is NAME_TEST.ts beside it, if there is one.

    Otherwise about a fifth of each class is held out, by a hash of each series.

    Args:
        path: the file, or a folder with one NAME_TRAIN.ts.

    Raises:
        UserError: files that `read_ts` refuses, or that have different classes or channels.
    """
    file = Path(path)
    if file.is_dir():
        file = _find_train(file)
    train, notes = read_ts(file), []
    other = _find_test(file)
    if other is not None:
        test = read_ts(other)
        for what, one, two in (
            ("classes", train.class_names, test.class_names),
            ("channels", train.sequences.shape[1], test.sequences.shape[1]),
        ):
            if one != two:
                raise UserError(f"{file.name} and {other.name} must have the same {what}, got {one} and {two}")
        notes.append(f"Test series are from {other.name}.")
    else:
        everything = train
        train, test = _hold_out(everything, hash_sequences(everything), _TEST_SHARE, "test")
        notes.append(_describe_test(len(test), len(everything), "series", "a hash of their values"))
    notes += describe_classes(train.class_names, _count(train))
    return SequenceSplits(str(path), train, test, None, None, tuple(map(printable_name, notes)))


def hold_out_sequences(data: SequenceData, share: int | float, seed: int) -> tuple[SequenceData, SequenceData | None]:
    """Hold out sequences of each class for validation, by a hash of their names or values.

    Args:
        data: all training sequences.
        share: share of the sequences (below 1), or their number; 0: none.
        seed: of the split.

    Raises:
        UserError: a number that leaves a class without a sequence.
    """
    keys = hash_sequences(data) if data.files is None else hash_names(data.files)
    kept, held = hold_out_by_hash(keys, data.labels, share, salt=f"validation {seed}")
    return data.pick(kept), data.pick(held) if len(held) else None


def hash_sequences(data: SequenceData) -> Int[Tensor, " m"]:
    """A hash of each sequence's values, whatever its padding."""
    series = zip(data.sequences, data.lengths.tolist(), strict=True)
    return torch.cat([hash_images(sequence[None, :, :steps]) for sequence, steps in series])


def name_sequences(data: SequenceData) -> list[str]:
    """The file of each sequence, or a hash of its values where sequences are no files."""
    return [str(key) for key in hash_sequences(data).tolist()] if data.files is None else list(data.files)


def key_sequences(data: SequenceData, folder: str | Path) -> list[str]:
    """A hash of each recording's file, or of the values of a series, as text.

    The values of a spectrogram are not the same on all processors.

    Args:
        data: sequences.
        folder: that of the files.
    """
    if data.files is None:
        return name_sequences(data)
    return [blake2b((Path(folder) / file).read_bytes(), digest_size=8).hexdigest() for file in data.files]


def _find_train(folder: Path) -> Path:
    files = find_series(folder)
    if len(files) != 1:
        raise UserError(f"{printable_name(folder)} holds {len(files)} files NAME_TRAIN.ts; give one of them")
    return files[0]


def _test_name(train: Path) -> str:
    """NAME_TEST.ts of NAME_TRAIN.ts, with the same letters of the suffix."""
    name, suffix = train.name[: -len(".ts")], train.name[-len(".ts") :]
    return f"{name.removesuffix('_TRAIN')}_TEST{suffix}"


def _find_test(train: Path) -> Path | None:
    """NAME_TEST.ts beside NAME_TRAIN.ts, if there is one."""
    other = train.with_name(_test_name(train))
    return other if train.name[: -len(".ts")].endswith("_TRAIN") and other.is_file() else None


def _read_split(layout: Layout, split: Split, preparation: LogMel, read: dict[str, _Recording]) -> SequenceData:
    """The recordings of a split, which are added to `read`."""
    files = layout.splits[split]
    if not files:
        raise UserError(f"{printable_name(layout.roots[split])} holds no recordings in its class folders")
    for file in files:
        read[file.name] = _read(layout.folder / file.name, preparation)
    spectrograms, names = [read[file.name].spectrogram for file in files], [file.name for file in files]
    data = pad_sequences(spectrograms, [file.label for file in files], layout.class_names, names)
    return replace(data, preparation=preparation)


def _read(file: Path, preparation: LogMel) -> _Recording:
    if file.suffix.lower() != ".wav":
        raise UserError(f"{printable_name(file)} is not a WAV file; convert or remove it")
    samples, rate, channels = read_recording(file)
    silent = bool(samples.min() == samples.max())
    return _Recording(preparation.prepare(samples, rate, file), len(samples) / rate, rate, channels, silent)


def _check_classes(layout: Layout, train: SequenceData, needed: int) -> None:
    for name, count in zip(layout.class_names, _count(train), strict=True):
        if count < needed:
            where = printable_name(layout.roots["train"] / name)
            raise UserError(f"{where} holds {count} recordings, at least {needed} are needed")


def _count(data: SequenceData) -> list[int]:
    counts: list[int] = data.labels.bincount(minlength=len(data.class_names)).tolist()
    return counts


def _hold_out(
    data: SequenceData, keys: Int[Tensor, " m"], share: float, salt: str
) -> tuple[SequenceData, SequenceData]:
    kept, held = hold_out_by_hash(keys, data.labels, share, salt=salt)
    if not len(held):
        raise UserError("no class has 2 sequences, so none can be held out for the test; add sequences")
    return data.pick(kept), data.pick(held)


def _describe_test(held: int, total: int, noun: str, key: str) -> str:
    return f"There is no test split: {held} of {total} {noun} form it, chosen by {key}."


def _describe(recordings: Sequence[_Recording], preparation: LogMel) -> list[str]:
    """Sentences on rates, channels and silence."""
    notes, rates = [], Counter(recording.rate for recording in recordings)
    described = [f"{rate:,} ({count})" for rate, count in sorted(rates.items())]
    if set(rates) != {preparation.rate}:
        notes.append(f"Samples a second, with the number of recordings: {listed(described)}.")
    if max(rates) > preparation.rate:
        notes.append(f"Spectrograms end at {preparation.rate // 2:,} Hz: higher frequencies are not used.")
    if min(rates) < preparation.rate:
        low = sum(count for rate, count in rates.items() if rate < preparation.rate)
        notes.append(
            f"{low} recordings have fewer than {preparation.rate:,} samples a second: their highest bands are empty, "
            "which a network may take for a class."
        )
    several = sum(recording.channels > 1 for recording in recordings)
    if several:
        notes.append(f"{several} recordings have several channels; their mean is used.")
    silent = sum(recording.is_silent for recording in recordings)
    if silent:
        notes.append(f"{silent} recordings are silent: all their samples are equal.")
    return notes

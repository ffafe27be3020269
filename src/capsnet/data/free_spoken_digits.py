"""Free Spoken Digit Dataset: 3,000 recordings of the digits 0 to 9 by six speakers, WAV files at 8 kHz.

Jackson et al., "Free Spoken Digit Dataset", 2018, https://github.com/Jakobovski/free-spoken-digit-dataset. A file is
called `{digit}_{speaker}_{index}.wav`; its README names recordings 0 to 4 of each digit and speaker the test set.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch

from capsnet.data.download import data_folders
from capsnet.data.sequences import SequenceData, pad_sequences
from capsnet.data.spectrogram import LogMel
from capsnet.errors import UserError

FOLDER = "free-spoken-digits"
_NAME = re.compile(r"([0-9])_(\w+)_([0-9]+)\.wav")
_TEST = range(5)


def load_free_spoken_digits(data_dir: Path | None = None, *, num_mels: int = 40) -> tuple[SequenceData, SequenceData]:
    """Load log-mel spectrograms of the training and the test set.

    Args:
        data_dir: folder that holds `free-spoken-digits/recordings/`; None: `$CAPSNET_DATA_DIR`, then the cache.
        num_mels: bands of the spectrograms.

    Raises:
        UserError: no such folder, a file with another name, or one that cannot be read.
    """
    folders = [folder / "recordings" for folder in data_folders(FOLDER, data_dir)]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        raise UserError(
            f"no folder {folders[0]}; clone https://github.com/Jakobovski/free-spoken-digit-dataset to "
            f"{folders[0].parent}, or name the folder that holds {FOLDER}/ as data_dir"
        )
    files = sorted(folder.glob("*.wav"))
    test = [file for file in files if _parse(file)[2] in _TEST]
    train = [file for file in files if _parse(file)[2] not in _TEST]
    if not train or not test:
        raise UserError(f"{folder} holds {len(train)} training and {len(test)} test recordings; fetch it again")
    preparation = LogMel(8000, num_mels)
    return _read(train, preparation), _read(test, preparation)


def speakers(data: SequenceData) -> tuple[str, ...]:
    """The speaker of each recording."""
    assert data.files is not None, "recordings are files"
    return tuple(_parse(Path(file))[1] for file in data.files)


def indices(data: SequenceData) -> torch.Tensor:
    """The number of each recording among those of its digit and speaker."""
    assert data.files is not None, "recordings are files"
    return torch.tensor([_parse(Path(file))[2] for file in data.files])


def _parse(file: Path) -> tuple[int, str, int]:
    """Digit, speaker and index in a file's name."""
    match = _NAME.fullmatch(file.name)
    if match is None:
        raise UserError(f"{file} must be called DIGIT_SPEAKER_INDEX.wav, such as 7_jackson_32.wav")
    return int(match[1]), match[2], int(match[3])


def _read(files: list[Path], preparation: LogMel) -> SequenceData:
    with ThreadPoolExecutor() as pool:
        spectrograms = list(pool.map(preparation.read, files))
    labels = [_parse(file)[0] for file in files]
    data = pad_sequences(spectrograms, labels, [str(digit) for digit in range(10)], [file.name for file in files])
    return replace(data, preparation=preparation)

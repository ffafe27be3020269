"""Japanese Vowels: nine men say "a" and "e"; who speaks? 270 and 370 sequences of 12 cepstrum coefficients.

Kudo, Toyama, Shimbo, "Multidimensional Curve Classification Using Passing-Through Regions", Pattern Recognition
Letters, 1999; as in the UEA archive of time series.
"""

from pathlib import Path

from capsnet.data.download import data_folders, find_stored
from capsnet.data.sequences import SequenceData
from capsnet.data.time_series import read_ts
from capsnet.errors import UserError

FILES = ("JapaneseVowels_TRAIN.ts", "JapaneseVowels_TEST.ts")


def load_japanese_vowels(data_dir: Path | None = None) -> tuple[SequenceData, SequenceData]:
    """Load the training and the test set; a class is a speaker.

    Args:
        data_dir: folder that holds `japanese-vowels/`; None: `$CAPSNET_DATA_DIR`, then the cache.

    Raises:
        UserError: missing or damaged files.
    """
    files = find_stored("japanese-vowels", FILES, data_dir)
    if files is None:
        folder = data_folders("japanese-vowels", data_dir)[0]
        raise UserError(
            f"{folder} must hold {' and '.join(FILES)}; fetch them from https://timeseriesclassification.com "
            "(JapaneseVowels), or copy them from the Python package aeon (aeon/datasets/data/JapaneseVowels)"
        )
    train, test = (read_ts(files[name]) for name in FILES)
    if train.class_names != test.class_names:
        folder = files[FILES[0]].parent
        raise UserError(f"{' and '.join(FILES)} in {folder} have different classes; fetch them again")
    return train, test

import pytest
import torch
from tests.data.sounds import write_digits, write_tone

from capsnet.data.free_spoken_digits import FOLDER, indices, load_free_spoken_digits, speakers
from capsnet.data.spectrogram import LogMel
from capsnet.errors import UserError


def test_first_five_recordings_of_each_digit_and_speaker_are_the_test_set(tmp_path):
    write_digits(tmp_path, range(4, 7), digits=2)
    train, test = load_free_spoken_digits(tmp_path)
    assert test.files == tuple(f"{digit}_{speaker}_4.wav" for digit in (0, 1) for speaker in ("ada", "b_2"))
    assert sorted(indices(train).unique().tolist()) == [5, 6]
    assert test.labels.tolist() == [0, 0, 1, 1]
    assert speakers(test) == ("ada", "b_2") * 2
    # 2000 and 2050 samples; windows of 256 samples begin every 128
    assert test.lengths.tolist() == [1 + (2000 - 256) // 128] * 2 + [1 + (2050 - 256) // 128] * 2
    assert test.class_names == tuple("0123456789")
    assert train.preparation == test.pick(torch.tensor([0])).preparation == LogMel(8000, 40)


def test_missing_and_misnamed_recordings_are_refused(tmp_path):
    with pytest.raises(UserError, match="clone https"):
        load_free_spoken_digits(tmp_path)
    folder = tmp_path / "free-spoken-digits" / "recordings"
    write_tone(folder / "3_ada_0.wav", 500)
    with pytest.raises(UserError, match="0 training and 1 test recordings"):
        load_free_spoken_digits(tmp_path)
    write_tone(folder / "three_ada_1.wav", 500)
    with pytest.raises(UserError, match=r"three_ada_1\.wav must be called DIGIT_SPEAKER_INDEX"):
        load_free_spoken_digits(tmp_path)


@pytest.mark.real_data
def test_official_files_hold_the_published_numbers(data_dir):
    if not (data_dir / FOLDER).is_dir():
        pytest.skip(f"needs {FOLDER}/ in $CAPSNET_DATA_DIR")
    train, test = load_free_spoken_digits(data_dir)
    assert (len(train), len(test), len(set(speakers(train)))) == (2700, 300, 6)
    assert train.labels.bincount().tolist() == [270] * 10

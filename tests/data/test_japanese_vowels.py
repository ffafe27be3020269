import pytest
from tests.data.sounds import TIME_SERIES

from capsnet.data.japanese_vowels import FILES, load_japanese_vowels
from capsnet.errors import UserError


def test_training_and_test_set_are_read_from_their_folder(tmp_path):
    folder = tmp_path / "japanese-vowels"
    folder.mkdir()
    with pytest.raises(UserError, match=r"japanese-vowels must hold JapaneseVowels_TRAIN\.ts and"):
        load_japanese_vowels(tmp_path)
    (folder / FILES[0]).write_text(TIME_SERIES)
    (folder / FILES[1]).write_text(TIME_SERIES + "8,9:8,9:B\n")
    train, test = load_japanese_vowels(tmp_path)
    assert (len(train), len(test)) == (2, 3)
    (folder / FILES[1]).write_text(TIME_SERIES.replace("true a B", "true B a"))
    with pytest.raises(UserError, match="have different classes"):
        load_japanese_vowels(tmp_path)


@pytest.mark.real_data
def test_official_files_hold_the_published_numbers(data_dir):
    if not (data_dir / "japanese-vowels").is_dir():
        pytest.skip("needs japanese-vowels/ in $CAPSNET_DATA_DIR")
    train, test = load_japanese_vowels(data_dir)
    assert (len(train), len(test), train.sequences.shape[1]) == (270, 370, 12)
    assert train.labels.bincount().tolist() == [30] * 9
    assert test.labels.bincount().tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert (int(test.lengths.min()), int(test.lengths.max())) == (7, 29)

import wave

import pytest
import torch
from tests.data.sounds import TIME_SERIES, write_tone

from capsnet import UserError
from capsnet.data.recordings import hold_out_sequences, load_recordings, load_series
from capsnet.data.spectrogram import LogMel

SERIES = "@classLabel true a b\n@data\n" + "".join(f"{k},{k + 1}:{'a' if k % 2 else 'b'}\n" for k in range(10))


@pytest.fixture
def sounds(tmp_path):
    for name, hertz in (("high", 2000), ("low", 300)):
        for number in range(6):
            write_tone(tmp_path / name / f"{number}.wav", hertz, samples=1000 + 200 * number)
    return tmp_path


def test_recordings_are_prepared_and_labelled_by_their_folder(sounds):
    splits = load_recordings(sounds)
    data = splits.train
    assert (data.class_names, data.preparation) == (("high", "low"), LogMel())
    first = data.sequences[0, :, : int(data.lengths[0])]
    torch.testing.assert_close(first, LogMel().read(sounds / data.files[0]))
    assert (splits.seconds.low, splits.seconds.median, splits.seconds.high) == (0.125, 0.1875, 0.25)
    assert len(splits.train) + len(splits.test) == 12
    assert not set(splits.train.files) & set(splits.test.files)


def test_a_folder_of_a_split_holds_out_the_same_recordings(sounds, tmp_path_factory):
    root = tmp_path_factory.mktemp("splits")
    (root / "train").symlink_to(sounds)
    (root / "val").symlink_to(sounds)
    assert len(load_recordings(root).train) == 12
    (root / "val").unlink()
    inner = [name.removeprefix("train/") for name in load_recordings(root).test.files]
    assert inner == list(load_recordings(sounds).test.files)


def test_remarks_name_other_rates_channels_and_silence(sounds):
    write_tone(sounds / "low" / "slow.wav", 300, rate=4000)
    write_tone(sounds / "low" / "fast.wav", 300, rate=16000)
    with wave.open(str(sounds / "high" / "quiet.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(8000))
    notes = " ".join(load_recordings(sounds).notes)
    assert "4,000 (1), 8,000 (13), 16,000 (1)" in notes
    assert "1 recordings have fewer than 8,000 samples a second" in notes
    assert "Spectrograms end at 4,000 Hz" in notes
    assert "1 recordings have several channels; their mean is used" in notes
    assert "1 recordings are silent" in notes


def test_the_only_recording_of_a_class_is_refused(sounds):
    write_tone(sounds / "one" / "a.wav", 500)
    with pytest.raises(UserError, match="one holds 1 recordings, at least 2 are needed"):
        load_recordings(sounds)


@pytest.mark.parametrize(("name", "message"), [("a.mp3", "is not a WAV file"), ("a.wav", "cannot read")])
def test_files_that_are_no_recordings_are_refused(sounds, name, message):
    (sounds / "high" / name).write_bytes(b"")
    with pytest.raises(UserError, match=message):
        load_recordings(sounds)


def test_series_have_their_test_file_or_a_part_held_out(tmp_path):
    train, test = tmp_path / "Small_TRAIN.ts", tmp_path / "Small_TEST.ts"
    train.write_text(SERIES)
    held = load_series(train)
    assert len(held.train) + len(held.test) == 10
    assert held.test.labels.unique().tolist() == [0, 1]
    test.write_text(SERIES)
    assert [len(part) for part in (load_series(tmp_path).train, load_series(train).test)] == [10, 10]
    upper = [path.with_suffix(".TS") for path in (train, test)]
    for path in upper:
        path.parent.joinpath("upper").mkdir(exist_ok=True)
        (path.parent / "upper" / path.name).write_text(SERIES)
    assert len(load_series(tmp_path / "upper" / "Small_TRAIN.TS").test) == 10
    test.write_text(TIME_SERIES)
    with pytest.raises(UserError, match=r"Small_TRAIN\.ts and Small_TEST\.ts must have the same classes"):
        load_series(train)


def test_series_without_files_are_held_out_by_their_values(tmp_path):
    (tmp_path / "Small.ts").write_text(SERIES)
    data = load_series(tmp_path / "Small.ts").train
    kept, held = hold_out_sequences(data, 0.3, seed=0)
    assert len(kept) + len(held) == len(data)
    reverse = data.pick(torch.arange(len(data)).flip(0))
    again = hold_out_sequences(reverse, 0.3, seed=0)[1]
    assert sorted(held.sequences[:, 0, 0].tolist()) == sorted(again.sequences[:, 0, 0].tolist())

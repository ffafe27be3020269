import struct

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from tests.data.sounds import write_tone

from capsnet.data.spectrogram import LogMel, log_mel, mel_bands, read_wav
from capsnet.errors import UserError


def tone(hertz, samples=4000, rate=8000):
    return torch.sin(2 * torch.pi * hertz * torch.arange(samples) / rate)


def test_a_tone_is_loudest_in_the_band_of_its_frequency():
    spectrogram = log_mel(tone(1000), 8000)
    # 2595 log10(1 + 1000 / 700) of 2595 log10(1 + 4000 / 700), in 41 parts; band k has its peak at part k + 1
    part = 41 * np.log10(1 + 1000 / 700) / np.log10(1 + 4000 / 700)
    assert spectrogram.shape == (40, 1 + (4000 - 256) // 128)
    assert (spectrogram.argmax(dim=0) == round(part) - 1).all()


def test_loudness_has_no_influence():
    sound = tone(700) + 0.1 * torch.randn(4000, generator=torch.Generator().manual_seed(0))
    spectrogram = log_mel(sound, 8000)
    torch.testing.assert_close(log_mel(0.01 * sound, 8000), spectrogram, rtol=0, atol=1e-4)
    torch.testing.assert_close(spectrogram.mean(), torch.tensor(0.0), rtol=0, atol=1e-5)
    torch.testing.assert_close(spectrogram.square().mean(), torch.tensor(1.0))


def test_silence_and_a_sound_shorter_than_a_window_are_finite():
    assert log_mel(torch.zeros(1000), 8000).count_nonzero() == 0
    assert log_mel(tone(500, samples=10), 8000).isfinite().all()


def test_bands_cover_every_frequency_between_the_first_and_the_last_peak():
    bands = mel_bands(8000, 256, 40)
    peaks = bands.argmax(dim=1)
    covered = bands[:, peaks[0] + 1 : peaks[-1]].sum(dim=0)
    torch.testing.assert_close(covered, torch.ones_like(covered), rtol=0, atol=1e-5)


def test_too_many_bands_and_samples_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match="num_mels must be lower for 8000 samples a second, got 200"):
        log_mel(tone(500), 8000, num_mels=200)
    with pytest.raises(UserError, match="finite"):
        log_mel(torch.tensor([1.0, torch.nan]), 8000)
    with pytest.raises(UserError, match=r"finite numbers from -2,147,483,648 to 2,147,483,648"):
        log_mel(1e30 * tone(500), 8000)
    assert log_mel(2.0**31 * tone(500), 8000).isfinite().all()


@pytest.mark.parametrize(
    ("stored", "first"),
    [
        (np.array([16384, -32768], dtype=np.int16), 0.5),
        (np.array([192, 0], dtype=np.uint8), 0.5),
        (np.array([2**30, 0], dtype=np.int32), 0.5),
        (np.array([0.25, 0], dtype=np.float32), 0.25),
        (np.array([[16384, 0], [0, 0]], dtype=np.int16), 0.25),
    ],
)
def test_samples_of_any_type_are_in_minus_one_to_one(tmp_path, stored, first):
    wavfile.write(tmp_path / "a.wav", 16000, stored)
    samples, rate = read_wav(tmp_path / "a.wav")
    assert (samples[0].item(), rate, len(samples)) == (first, 16000, 2)


def test_a_recording_of_another_rate_has_nearly_the_same_spectrogram(tmp_path):
    for rate in (8000, 44100):
        wavfile.write(tmp_path / f"{rate}.wav", rate, (8000 * tone(900, rate // 2, rate)).numpy().astype(np.int16))
    slow, fast = (LogMel().read(tmp_path / f"{rate}.wav") for rate in (8000, 44100))
    assert slow.shape == fast.shape
    assert (slow[:, 2:-2].argmax(dim=0) == fast[:, 2:-2].argmax(dim=0)).all()
    torch.testing.assert_close(slow.amax(dim=0), fast.amax(dim=0), rtol=0.1, atol=0)


def test_preparation_that_cannot_be_is_refused():
    with pytest.raises(UserError, match="rate must be at least 1"):
        LogMel(0)
    with pytest.raises(UserError, match="a band has no frequency"):
        LogMel(8000, 200)


def test_files_that_are_no_recordings_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_wav(tmp_path / "none.wav")
    write_tone(tmp_path / "a.wav", 500)
    whole = (tmp_path / "a.wav").read_bytes()
    # half of the samples, half of the header, another format, a header that states no channels
    for damaged in (whole[:1000], whole[:20], b"OggS" + whole[4:], whole[:22] + b"\0\0" + whole[24:], whole[:44]):
        (tmp_path / "b.wav").write_bytes(damaged)
        with pytest.raises(UserError, match=r"b\.wav"):
            read_wav(tmp_path / "b.wav")


def test_chunks_that_hold_no_samples_are_skipped(tmp_path):
    wavfile.write(tmp_path / "a.wav", 8000, np.array([1, 2], dtype=np.int16))
    data = (tmp_path / "a.wav").read_bytes()
    # cue points between the format and the samples, as editors write them
    longer = data[:36] + b"cue " + (4).to_bytes(4, "little") + bytes(4) + data[36:]
    (tmp_path / "a.wav").write_bytes(longer[:4] + (len(longer) - 8).to_bytes(4, "little") + longer[8:])
    samples, _ = read_wav(tmp_path / "a.wav")
    assert (samples * 32768).tolist() == [1, 2]


def test_a_recording_without_a_data_chunk_or_with_an_impossible_rate_is_refused(tmp_path):
    write_tone(tmp_path / "a.wav", 500)
    whole = (tmp_path / "a.wav").read_bytes()
    format_only = whole[:4] + (28).to_bytes(4, "little") + whole[8:36]
    # the rate, and bytes of a second: two for each sample
    rates = [whole[:24] + struct.pack("<II", rate, 2 * rate) + whole[32:] for rate in (1, 2**31 - 1)]
    for damaged, reason in ((format_only, "no data chunk"), (rates[0], "has 1 samples"), (rates[1], "is it damaged")):
        (tmp_path / "b.wav").write_bytes(damaged)
        with pytest.raises(UserError, match=rf"b\.wav.*{reason}"):
            LogMel().read(tmp_path / "b.wav")

"""Recordings and time series as the official files hold them, small."""

import wave
from pathlib import Path

import numpy as np


def write_tone(path: Path, hertz: float, samples: int = 1600, rate: int = 8000, loudness: float = 0.5) -> None:
    """A WAV file as those of the Free Spoken Digit Dataset: one channel, 16 bits, 8 kHz; a tone with some noise."""
    noise = np.random.default_rng(samples).normal(0, 0.01, samples)
    sound = loudness * (np.sin(2 * np.pi * hertz * np.arange(samples) / rate) + noise)
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((sound.clip(-1, 1) * 32767).astype("<i2").tobytes())


def write_digits(data_dir: Path, numbers: range = range(10), digits: int = 10) -> None:
    """Recordings of each digit by two speakers: a tone whose pitch tells the digit, of different lengths."""
    folder = data_dir / "free-spoken-digits" / "recordings"
    for digit in range(digits):
        for speaker in ("ada", "b_2"):
            for number in numbers:
                samples = 1200 + 200 * number + 50 * digit
                write_tone(folder / f"{digit}_{speaker}_{number}.wav", 200 * (digit + 1), samples)


TIME_SERIES = """#A comment, as the archive has them
@problemName Small
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength false
@classLabel true a B
@data
1.5,2,3:-1,0,1e-1:a
4,5:6,7:B
"""

"""Log-mel spectrograms of recordings, and the reader of WAV files.

Stevens, Volkmann, Newman, "A Scale for the Measurement of the Psychological Magnitude Pitch", 1937 (the mel scale);
O'Shaughnessy, "Speech Communication", 1987, p. 150 (its formula, 2595 log10(1 + f / 700)).
"""

import io
import struct
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.bounds import Bound, check_numbers, whole
from capsnet.data.files import read_bytes
from capsnet.errors import UserError

WINDOW, HOP = 0.032, 0.016
_filters = threading.Lock()
_LONGEST = 1 << 28
_BOUNDS: Mapping[str, Bound] = {"rate": whole(1, 1_000_000), "num_mels": whole(1, 4096)}
_FLOOR = 1e-10
_LOUDEST = 1 << 31
# of other rates, which a damaged file may have, a change of rate can take any memory
_LOWEST_RATE, _HIGHEST_RATE = 1_000, 384_000


@dataclass(frozen=True)
class LogMel:
    """How a recording becomes a sequence: its rate is changed, then `log_mel`.

    A model keeps it, so that a file is prepared as the recordings were from which the model learned.

    Args:
        rate: samples of a second.
        num_mels: bands of the spectrogram.

    Raises:
        UserError: numbers below 1, or so many bands that one of them has no frequency.
    """

    rate: int = 8000
    num_mels: int = 40

    def __post_init__(self) -> None:
        check_numbers(_BOUNDS, rate=self.rate, num_mels=self.num_mels)
        mel_bands(self.rate, round(WINDOW * self.rate), self.num_mels)

    def read(self, path: str | Path) -> Float[Tensor, "c t"]:
        """The spectrogram of a WAV file of any rate.

        Raises:
            UserError: a file that cannot be read.
        """
        samples, rate, _ = read_recording(path)
        return self.prepare(samples, rate, path)

    def prepare(self, samples: Float[Tensor, " s"], rate: int, name: str | Path) -> Float[Tensor, "c t"]:
        """The spectrogram of samples of any rate.

        Args:
            samples: of the recording.
            rate: samples of a second.
            name: of the recording, for messages.

        Raises:
            UserError: samples that are not finite, or a rate that is neither the model's nor from 1,000 to 384,000.
        """
        from scipy.signal import resample_poly

        if rate != self.rate:
            if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
                expected = f"expected {_LOWEST_RATE:,} to {_HIGHEST_RATE:,}"
                raise UserError(f"{name} has {rate:,} samples a second, {expected}; is it damaged?")
            common = gcd(rate, self.rate)
            changed = resample_poly(samples.double().numpy(), self.rate // common, rate // common)
            samples = torch.from_numpy(changed.astype(np.float32))
        try:
            return log_mel(samples, self.rate, num_mels=self.num_mels)
        except UserError as fault:
            raise UserError(f"{name}: {fault}") from None


class Recording(NamedTuple):
    """The contents of a WAV file.

    Args:
        samples: in [-1, 1], the mean of the channels.
        rate: samples of a second.
        channels: of the file.
    """

    samples: Float[Tensor, " s"]
    rate: int
    channels: int


def read_wav(path: str | Path) -> tuple[Float[Tensor, " s"], int]:
    """Read a WAV file.

    Returns:
        Samples in [-1, 1], the mean of the channels, and the number of samples of a second.

    Raises:
        UserError: a file that is missing, no WAV file, damaged, or above 256 MB.
    """
    samples, rate, _ = read_recording(path)
    return samples, rate


def read_recording(path: str | Path) -> Recording:
    """Read a WAV file.

    Raises:
        UserError: as `read_wav`.
    """
    from scipy.io import wavfile

    data = read_bytes(Path(path), _LONGEST)
    try:
        # warning filters are global to the process, and recordings are read in threads
        with _filters, warnings.catch_warnings():
            # it warns of a file that ends early, and reads what is there
            warnings.simplefilter("error")
            # of cue points, loops and the like between format and samples
            warnings.filterwarnings("ignore", "Chunk .* not understood", wavfile.WavFileWarning)
            rate, samples = wavfile.read(io.BytesIO(bytes(data)))
    except UnboundLocalError:
        # scipy's error for a file with a format and without samples
        raise UserError(f"cannot read {path} as a WAV file (it has no data chunk)") from None
    # a damaged header leads to many kinds of error
    except (ValueError, OSError, ArithmeticError, struct.error, Warning, TypeError, AttributeError) as fault:
        raise UserError(f"cannot read {path} as a WAV file ({' '.join(str(fault).split())[:100]})") from None
    if samples.ndim == 2:
        channels = samples.shape[1]
    else:
        channels, samples = 1, samples[:, None]
    if rate < 1 or samples.size == 0 or channels < 1:
        raise UserError(f"{path} holds no samples")
    mean = _scale(samples).mean(axis=1).astype(np.float32)
    return Recording(torch.from_numpy(mean), int(rate), channels)


def _scale(samples: np.ndarray) -> np.ndarray:
    """Samples of any stored type, in [-1, 1]."""
    if samples.dtype == np.uint8:
        return (samples.astype(np.float64) - 128) / 128
    if np.issubdtype(samples.dtype, np.integer):
        return samples.astype(np.float64) / (np.iinfo(samples.dtype).max + 1)
    return samples.astype(np.float64)


def log_mel(samples: Float[Tensor, " s"], rate: int, *, num_mels: int = 40) -> Float[Tensor, "c t"]:
    """The logarithm of a recording's energy by mel band and time, with mean 0 and standard deviation 1.

    Windows of 32 ms (Hann) begin every 16 ms. Because each spectrogram is normalised by itself, the loudness of a
    recording has no influence, and a single file is prepared as those of a data set are.

    Args:
        samples: of the recording; one shorter than a window is extended by zeros.
        rate: samples of a second.
        num_mels: number of bands from 0 to half the rate.

    Shapes:
        result `c t`: bands from low to high, windows in order.

    Raises:
        UserError: no samples, samples beyond those of 32 bits, or a rate that leaves a band empty.
    """
    if samples.ndim != 1 or len(samples) == 0:
        raise UserError(f"samples must be a row of numbers, got shape {tuple(samples.shape)}")
    # the energies of larger samples exceed float32
    if not (samples.abs() <= _LOUDEST).all():
        raise UserError(f"samples must be finite numbers from -{_LOUDEST:,} to {_LOUDEST:,}")
    window, hop = round(WINDOW * rate), round(HOP * rate)
    bands = mel_bands(rate, window, num_mels)
    samples = torch.nn.functional.pad(samples.float(), (0, max(0, window - len(samples))))
    shape = torch.hann_window(window)
    spectrum = torch.stft(samples, window, hop, window=shape, center=False, return_complex=True)  # f t
    energy = bands @ spectrum.abs().square()
    # relative to the loudest band, so that the floor does not depend on the loudness
    levels = (energy / energy.max().clamp(min=_FLOOR)).clamp(min=_FLOOR).log()
    levels = levels - levels.max()
    centred = levels - levels.mean()
    return centred / centred.square().mean().sqrt().clamp(min=1e-5)


def mel_bands(rate: int, window: int, num_mels: int) -> Float[Tensor, "c f"]:
    """Triangles with a peak of 1, evenly spaced on the mel scale: the weights of frequencies in each band.

    Raises:
        UserError: so many bands that one of them has no frequency.
    """
    highest = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, highest, num_mels + 2) / 2595) - 1)
    frequencies = np.arange(window // 2 + 1) * rate / max(window, 1)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    bands = np.minimum(rising, falling).clip(min=0)
    if window < 2 or not (bands.sum(axis=1) > 0).all():
        raise UserError(f"num_mels must be lower for {rate} samples a second, got {num_mels}: a band has no frequency")
    return torch.from_numpy(bands.astype(np.float32))

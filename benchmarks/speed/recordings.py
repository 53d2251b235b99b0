"""Recordings to measure with: made-up stereo sounds in the format of the paper's corpus."""

from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 48000
SECONDS = 10.0


def write(folder: Path, count: int, rate_hz: int = RATE_HZ, seconds: float = SECONDS) -> list[str]:
    """Writes `count` WAV files, stereo, 24 bits, and returns their paths.

    Each is noise that is stronger at low frequencies, as in most scenes, and tones on the left.
    """
    rng = np.random.default_rng(0)
    samples = round(seconds * rate_hz)
    times = np.arange(samples) / rate_hz
    paths = []
    for number in range(count):
        spectrum = np.fft.rfft(rng.normal(size=(samples, 2)), axis=0)
        spectrum /= np.sqrt(1 + np.arange(len(spectrum)))[:, np.newaxis]
        waveform = np.fft.irfft(spectrum, samples, axis=0)
        waveform[:, 0] += 0.1 * waveform[:, 0].std() * np.sin(2 * np.pi * 440 * times)
        waveform *= 0.1 / waveform.std()
        path = folder / f"{number}.wav"
        soundfile.write(path, waveform, rate_hz, "PCM_24")
        paths.append(str(path))
    return paths

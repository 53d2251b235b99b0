"""Backgrounds: diffuse noise, whose colour indicates a family of scenes at best.

A background belongs to a location. Its colour, hum, fluctuation and level are drawn from the ranges
of its family, which are the same for every scene of the family and overlap with those of the other
families.
"""

import dataclasses
import functools

import numpy as np
from scipy import fft

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class BackgroundRanges:
    """Ranges that a family's backgrounds are drawn from.

    Attributes:
      tilt_db_per_octave: Slope of the spectrum.
      hump_hz: Centre of its main hump.
      hump_db: Height of its main hump.
      breathing_db: Standard deviation of the level over time.
      breaths_per_s: Fluctuations a second.
    """

    tilt_db_per_octave: Range
    hump_hz: Range
    hump_db: Range
    breathing_db: Range
    breaths_per_s: Range


FAMILIES = {
    "hall": BackgroundRanges((-6.0, -3.0), (300, 1500), (0, 7), (0.3, 2.0), (0.2, 1.5)),
    "vehicle": BackgroundRanges((-8.0, -4.5), (60, 400), (0, 9), (0.5, 3.0), (0.2, 2.5)),
    "open": BackgroundRanges((-6.5, -3.0), (250, 1500), (-2, 6), (0.5, 3.5), (0.1, 1.0)),
}


@dataclasses.dataclass(frozen=True)
class Hump:
    """A hump of a spectrum.

    Attributes:
      centre_hz: Frequency of its maximum.
      width_octaves: Width as a standard deviation.
      gain_db: Height; a hollow if negative.
    """

    centre_hz: float
    width_octaves: float
    gain_db: float


@dataclasses.dataclass(frozen=True)
class Hum:
    """A tone of a machine.

    Attributes:
      frequency_hz: Frequency of the tone.
      gain_db: Power relative to that of 30 Hz of the noise beside it.
    """

    frequency_hz: float
    gain_db: float


@dataclasses.dataclass(frozen=True)
class Background:
    """The background of a location.

    Attributes:
      tilt_db_per_octave: Slope of the spectrum.
      low_cut_hz: Frequency below which the spectrum falls.
      high_cut_hz: Frequency above which the spectrum falls.
      humps: Humps of the spectrum.
      hums: Tones.
      breathing_db: Standard deviation of the level over time.
      breaths_per_s: Fluctuations a second.
      level_db: RMS of the part above 300 Hz, in dB relative to full scale.
    """

    tilt_db_per_octave: float
    low_cut_hz: float
    high_cut_hz: float
    humps: tuple[Hump, ...]
    hums: tuple[Hum, ...]
    breathing_db: float
    breaths_per_s: float
    level_db: float


def draw_background(rng: np.random.Generator, family: str) -> Background:
    """Draws the background of a location.

    Args:
      rng: Random numbers; the order of the draws is part of the corpus.
      family: One of `FAMILIES`.
    """
    ranges = FAMILIES[family]
    humps = [_draw_hump(rng, ranges.hump_hz, (0.6, 1.6), ranges.hump_db)]
    for _ in range(4):
        humps.append(_draw_hump(rng, (80, 12000), (0.3, 1.2), (-6, 6)))
    hums = []
    if rng.random() < 0.5:
        lowest_hz = rng.uniform(45, 260)
        for number in range(1, rng.integers(1, 5) + 1):
            hums.append(Hum(float(lowest_hz * number), float(rng.uniform(3, 14))))
    return Background(
        tilt_db_per_octave=float(rng.uniform(*ranges.tilt_db_per_octave)),
        low_cut_hz=float(rng.uniform(25, 90)),
        high_cut_hz=float(np.exp(rng.uniform(np.log(7000), np.log(20000)))),
        humps=tuple(humps),
        hums=tuple(hums),
        breathing_db=float(rng.uniform(*ranges.breathing_db)),
        breaths_per_s=float(rng.uniform(*ranges.breaths_per_s)),
        level_db=float(rng.uniform(-52, -42)),
    )


def colour_db(background: Background, frequency_hz: np.ndarray) -> np.ndarray:
    """Returns the background's magnitude at each frequency in dB, before its level is set."""
    frequency = np.maximum(frequency_hz, 10.0)
    octaves = np.log2(frequency / 1000)
    low_cut = 10 * np.log10(1 + (background.low_cut_hz / frequency) ** 4)
    high_cut = 10 * np.log10(1 + (frequency / background.high_cut_hz) ** 4)
    colour = background.tilt_db_per_octave * octaves - low_cut
    colour -= high_cut
    for hump in background.humps:
        distance = (octaves - np.log2(hump.centre_hz / 1000)) / hump.width_octaves
        colour += hump.gain_db * np.exp(-0.5 * distance**2)
    return colour


def render_background(
    rng: np.random.Generator, background: Background, sample_rate_hz: int, samples: int
) -> np.ndarray:
    """Renders noise of the background's colour at two ears.

    The ears receive the same noise at low frequencies and different noise at high frequencies.

    Args:
      rng: Random numbers for the noise.
      background: Colour and level.
      sample_rate_hz: Sample rate in Hz.
      samples: Length.

    Returns:
      Waveform, float32 [2, samples].
    """
    size = fft.next_fast_len(samples, real=True)
    shared_magnitude, different_magnitude = _magnitudes(background, sample_rate_hz, size)
    # Pairs of normal numbers are viewed as complex ones, [2, bins].
    pairs = rng.standard_normal((2, len(shared_magnitude), 2), dtype=np.float32)
    spectrum = pairs.view(np.complex64)[..., 0]
    shared = spectrum[0]
    different = spectrum[1]
    shared *= shared_magnitude
    different *= different_magnitude
    spectra = np.stack([shared + different, shared - different])
    ears = fft.irfft(spectra, size, axis=-1, overwrite_x=True)[:, :samples]
    # A complex bin of variance 2 gives a real wave of power 4 / size^2.
    level = np.float32(10 ** (background.level_db / 20) * size / 2)
    ears *= level * _breathing(rng, background, sample_rate_hz, samples)
    return ears


def _draw_hump(
    rng: np.random.Generator, centre_hz: Range, width_octaves: Range, gain_db: Range
) -> Hump:
    return Hump(
        centre_hz=float(np.exp(rng.uniform(*np.log(centre_hz)))),
        width_octaves=float(rng.uniform(*width_octaves)),
        gain_db=float(rng.uniform(*gain_db)),
    )


# Clips of one location follow each other.
@functools.lru_cache(maxsize=2)
def _magnitudes(
    background: Background, sample_rate_hz: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the magnitudes of the noise that the ears share and of the noise that differs.

    Both are float32 [bins]; their power above 300 Hz is 1 together.
    """
    frequency = np.arange(size // 2 + 1) * (sample_rate_hz / size)
    # The colour is smooth, so 400 points are enough.
    grid = np.geomspace(10, sample_rate_hz / 2, 400)
    magnitude = np.interp(frequency, grid, 10 ** (colour_db(background, grid) / 20))
    coherence = np.interp(frequency, grid, np.exp(-grid / 500))
    for hum in background.hums:
        line = np.abs(frequency - hum.frequency_hz) < 0.6
        # The line has about 1.2 Hz, and the power of 30 Hz of the noise beside it.
        magnitude[line] *= 10 ** (hum.gain_db / 20) * np.sqrt(25.0)
    magnitude /= np.sqrt(np.sum(magnitude[frequency >= 300] ** 2))
    shared = magnitude * np.sqrt((1 + coherence) / 2)
    different = magnitude * np.sqrt((1 - coherence) / 2)
    return shared.astype(np.float32), different.astype(np.float32)


def _breathing(
    rng: np.random.Generator, background: Background, sample_rate_hz: int, samples: int
) -> np.ndarray:
    """Returns the fluctuation of the level as a factor, float32 [samples]."""
    seconds = samples / sample_rate_hz
    knots = max(2, int(seconds * background.breaths_per_s * 2) + 2)
    heights = np.clip(rng.standard_normal(knots), -2, 2)
    factors = 10 ** (background.breathing_db * heights / 20)
    curve = np.interp(np.linspace(0, knots - 1, samples), np.arange(knots), factors)
    return curve.astype(np.float32)

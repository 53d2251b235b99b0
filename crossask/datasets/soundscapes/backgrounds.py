"""Background beds: diffuse noise whose colour tells a family of scenes at best.

A bed belongs to a location. Its colour, hum, breathing and level are drawn from its family's ranges, which are the same
for every scene of the family and overlap with the other families'.
"""

import dataclasses
import functools

import numpy as np
from scipy import fft

# scene -> family of its bed and of its room
FAMILIES = {
    "airport": "hall",
    "bus": "vehicle",
    "metro": "vehicle",
    "metro_station": "hall",
    "park": "open",
    "public_square": "open",
    "shopping_mall": "hall",
    "street_pedestrian": "open",
    "street_traffic": "open",
    "tram": "vehicle",
}
# family -> ranges of (tilt in dB an octave, hump's centre in Hz, hump in dB, breathing in dB, breaths a second)
BED_RANGES = {
    "hall": ((-6.0, -3.0), (300, 1500), (0, 7), (0.3, 2.0), (0.2, 1.5)),
    "vehicle": ((-8.0, -4.5), (60, 400), (0, 9), (0.5, 3.0), (0.2, 2.5)),
    "open": ((-6.5, -3.0), (250, 1500), (-2, 6), (0.5, 3.5), (0.1, 1.0)),
}


@dataclasses.dataclass(frozen=True)
class Bed:
    """A location's background.

    humps: (centre in Hz, width in octaves, dB) each; hums: (Hz, dB over the 30 Hz of noise beside it) each
    """

    tilt_db_per_octave: float
    low_cut_hz: float
    high_cut_hz: float
    humps: tuple[tuple[float, float, float], ...]
    hums: tuple[tuple[float, float], ...]
    breathing_db: float
    breaths_per_s: float
    level_db: float  # RMS of the part above 300 Hz, dB below full scale


def draw_bed(rng, family: str) -> Bed:
    """A random bed of a family of `BED_RANGES`."""
    tilt, centre, hump, breathing, breaths = BED_RANGES[family]
    humps = [
        (
            float(np.exp(rng.uniform(*np.log(centre)))),
            float(rng.uniform(0.6, 1.6)),
            float(rng.uniform(*hump)),
        )
    ]
    for _ in range(4):
        humps.append(
            (
                float(np.exp(rng.uniform(np.log(80), np.log(12000)))),
                float(rng.uniform(0.3, 1.2)),
                float(rng.uniform(-6, 6)),
            )
        )
    hums = ()
    if rng.random() < 0.5:
        ground = rng.uniform(45, 260)
        hums = tuple(
            (float(ground * (k + 1)), float(rng.uniform(3, 14))) for k in range(rng.integers(1, 5))
        )
    slope, low_cut, high_cut = (
        rng.uniform(*tilt),
        rng.uniform(25, 90),
        np.exp(rng.uniform(np.log(7000), np.log(20000))),
    )
    return Bed(
        float(slope),
        float(low_cut),
        float(high_cut),
        tuple(humps),
        hums,
        float(rng.uniform(*breathing)),
        float(rng.uniform(*breaths)),
        float(rng.uniform(-52, -42)),
    )


def colour_db(bed: Bed, frequency_hz: np.ndarray) -> np.ndarray:
    """The bed's magnitude over frequency in dB, before its level is set."""
    frequency = np.maximum(frequency_hz, 10.0)
    octaves = np.log2(frequency / 1000)
    shape = bed.tilt_db_per_octave * octaves - 10 * np.log10(1 + (bed.low_cut_hz / frequency) ** 4)
    shape -= 10 * np.log10(1 + (frequency / bed.high_cut_hz) ** 4)
    for centre, width, gain in bed.humps:
        shape += gain * np.exp(-0.5 * ((octaves - np.log2(centre / 1000)) / width) ** 2)
    return shape


@functools.lru_cache(maxsize=2)  # clips of a location follow each other
def _spectra(bed: Bed, sample_rate_hz: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes of what the ears share and of what differs between them: float32 [bins] each, power 1 above 300 Hz."""
    frequency = np.arange(size // 2 + 1) * (sample_rate_hz / size)
    grid = np.geomspace(10, sample_rate_hz / 2, 400)  # the colour is smooth: 400 points are enough
    magnitude = np.interp(frequency, grid, 10 ** (colour_db(bed, grid) / 20))
    coherence = np.interp(frequency, grid, np.exp(-grid / 500))
    for hum, gain in bed.hums:
        near = np.abs(frequency - hum) < 0.6
        magnitude[near] *= 10 ** (gain / 20) * np.sqrt(
            25.0
        )  # a line holds the power of the 30 Hz beside it
    magnitude /= np.sqrt(np.sum(magnitude[frequency >= 300] ** 2))
    shared, apart = (
        magnitude * np.sqrt((1 + coherence) / 2),
        magnitude * np.sqrt((1 - coherence) / 2),
    )
    return shared.astype(np.float32), apart.astype(np.float32)


def render_bed(rng, bed: Bed, sample_rate_hz: int, samples: int) -> np.ndarray:
    """Noise of the bed's colour, alike at both ears at low and different at high frequencies: float32 [2, samples]."""
    size = fft.next_fast_len(samples, real=True)
    shared, apart = _spectra(bed, sample_rate_hz, size)
    # a complex bin of variance 2 gives a real wave of power 4 a bin over size^2; the factor goes into one small array
    level = np.float32(10 ** (bed.level_db / 20) * size / 2)
    spectrum = rng.standard_normal((2, len(shared), 2), dtype=np.float32).view(np.complex64)[..., 0]
    spectrum[0] *= shared
    spectrum[1] *= apart
    ears = fft.irfft(
        np.stack([spectrum[0] + spectrum[1], spectrum[0] - spectrum[1]]),
        size,
        axis=-1,
        overwrite_x=True,
    )[:, :samples]
    knots = max(2, int(samples / sample_rate_hz * bed.breaths_per_s * 2) + 2)
    breath = 10 ** (bed.breathing_db * np.clip(rng.standard_normal(knots), -2, 2) / 20)
    ears *= level * np.interp(np.linspace(0, knots - 1, samples), np.arange(knots), breath).astype(
        np.float32
    )
    return ears

"""Building blocks of every synthetic sound: curves, pulses, noise bands, resonances, struck partials.

Waveforms are mono float64 [samples], dimensionless; times in seconds, frequencies in Hz.
"""

import functools

import numpy as np
from scipy import signal


def times(sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Seconds since the start, [samples]."""
    return np.arange(max(1, round(seconds * sample_rate_hz))) / sample_rate_hz


def curve(rng, samples: int, low: float, high: float, knots: int) -> np.ndarray:
    """A random line through `knots` values between `low` and `high`, [samples]."""
    return np.interp(
        np.linspace(0, knots - 1, samples), np.arange(knots), rng.uniform(low, high, knots)
    )


def tone(frequency_hz: np.ndarray, sample_rate_hz: int, amplitudes) -> np.ndarray:
    """Harmonics of a frequency that may glide; `amplitudes[k]` is harmonic k + 1's. None above 0.45 of the rate."""
    phase = 2 * np.pi * np.cumsum(frequency_hz) / sample_rate_hz
    highest = np.max(frequency_hz)
    usable = [
        a if (k + 1) * highest < 0.45 * sample_rate_hz else 0.0 for k, a in enumerate(amplitudes)
    ]
    # sin(k x) by the recurrence of Chebyshev polynomials: one sine and one cosine for all harmonics
    before, now, cosine = np.zeros_like(phase), np.sin(phase), 2 * np.cos(phase)
    out = usable[0] * now
    for amplitude in usable[1:]:
        before, now = now, cosine * now - before
        if amplitude:
            out += amplitude * now
    return out


def pulses(
    frequency_hz: np.ndarray, sample_rate_hz: int, rng=None, jitter: float = 0.0
) -> np.ndarray:
    """One unit impulse a period of a gliding frequency; `jitter` is the deviation of the impulses' heights."""
    wraps = np.diff(np.floor(np.cumsum(frequency_hz) / sample_rate_hz), prepend=0.0)
    if jitter:
        wraps *= 1 + jitter * rng.standard_normal(len(wraps))
    return wraps


@functools.lru_cache(maxsize=256)
def _sections(kind: str, edges: tuple, sample_rate_hz: int) -> np.ndarray:
    return signal.butter(
        2, edges if len(edges) > 1 else edges[0], kind, fs=sample_rate_hz, output="sos"
    )


def band(
    waveform: np.ndarray, sample_rate_hz: int, low_hz: float = 0.0, high_hz: float = np.inf
) -> np.ndarray:
    """Second-order Butterworth band, low or high pass; edges at or beyond 0.48 of the rate are no edges."""
    low = float(low_hz) if low_hz > 0 else None
    high = float(high_hz) if high_hz < 0.48 * sample_rate_hz else None
    if low is not None and low >= 0.4 * sample_rate_hz:
        low = 0.4 * sample_rate_hz
    if low and high and high > 1.05 * low:
        sections = _sections("bandpass", (low, high), sample_rate_hz)
    elif low:
        sections = _sections("highpass", (low,), sample_rate_hz)
    elif high:
        sections = _sections("lowpass", (high,), sample_rate_hz)
    else:
        return waveform
    return signal.sosfilt(sections, waveform)


def noise(
    rng, sample_rate_hz: int, samples: int, low_hz: float = 0.0, high_hz: float = np.inf
) -> np.ndarray:
    """Gaussian noise of unit deviation before its band is cut."""
    return band(rng.standard_normal(samples), sample_rate_hz, low_hz, high_hz)


def resonances(
    waveform: np.ndarray, sample_rate_hz: int, centres_hz, widths_hz, gains
) -> np.ndarray:
    """Parallel two-pole resonators, each of unit gain at its centre times its gain."""
    out = np.zeros_like(waveform)
    for centre, width, gain in zip(centres_hz, widths_hz, gains, strict=True):
        if centre < 0.45 * sample_rate_hz:
            radius, angle = (
                np.exp(-np.pi * width / sample_rate_hz),
                2 * np.pi * centre / sample_rate_hz,
            )
            scale = (1 - radius) * np.sqrt(1 - 2 * radius * np.cos(2 * angle) + radius**2)
            out += signal.lfilter(
                [gain * scale], [1, -2 * radius * np.cos(angle), radius**2], waveform
            )
    return out


def struck(sample_rate_hz: int, seconds: float, partials_hz, amplitudes, decays_s) -> np.ndarray:
    """Decaying sines of a struck body, with an attack of 1 ms. `decays_s` are the times to fall by 1/e."""
    t = times(sample_rate_hz, seconds)
    out = np.zeros(len(t))
    for partial, amplitude, decay in zip(partials_hz, amplitudes, decays_s, strict=True):
        if partial < 0.45 * sample_rate_hz:
            audible = max(1, min(len(t), round(7 * decay * sample_rate_hz)))
            out[:audible] += (
                amplitude * np.exp(-t[:audible] / decay) * np.sin(2 * np.pi * partial * t[:audible])
            )
    attack = min(len(t), round(0.001 * sample_rate_hz))
    out[:attack] *= np.linspace(0, 1, attack)
    return out


def thud(rng, sample_rate_hz: int, low_hz: float, high_hz: float, decay_s: float) -> np.ndarray:
    """A burst of band noise that dies away."""
    t = times(sample_rate_hz, 6 * decay_s)
    burst = (
        noise(rng, sample_rate_hz, len(t), low_hz, high_hz)
        * np.exp(-t / decay_s)
        * np.minimum(1, t / 0.0008)
    )
    return burst / (np.sqrt(np.mean(burst**2)) + 1e-9)


def add(out: np.ndarray, at_s: float, sample_rate_hz: int, waveform: np.ndarray, gain: float = 1.0):
    """Adds `waveform` into `out` at a time; what reaches beyond the end is cut."""
    start = round(at_s * sample_rate_hz)
    if 0 <= start < len(out):
        count = min(len(waveform), len(out) - start)
        out[start : start + count] += gain * waveform[:count]


def swell(samples: int, rise: float, fall: float) -> np.ndarray:
    """Raised-cosine fade over the first and last shares of the length."""
    out = np.ones(samples)
    up, down = max(1, round(rise * samples)), max(1, round(fall * samples))
    out[:up] *= 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, up))
    out[-down:] *= 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, down))
    return out


def passing(samples: int, closest: float, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """A source going by: (level 0..1, Doppler factor in units of the speed, +1 approaching to -1 leaving)."""
    away = sharpness * (np.linspace(0, 1, samples) - closest)
    return 1 / np.sqrt(1 + away**2), -away / np.sqrt(1 + away**2)

"""Building blocks of the synthetic sounds: curves, pulses, noise bands, resonances, struck bodies.

Waveforms are mono float64 [samples], dimensionless. Times are in seconds, frequencies in Hz.
"""

import functools
from collections.abc import Sequence

import numpy as np
from scipy import signal

# One number for each partial, resonance or harmonic.
Numbers = Sequence[float] | np.ndarray


def time_axis(sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Returns the time of each sample since the start in seconds, [samples]."""
    return np.arange(max(1, round(seconds * sample_rate_hz))) / sample_rate_hz


def silence(sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Returns zeros, [samples]."""
    return np.zeros(len(time_axis(sample_rate_hz, seconds)))


def random_curve(
    rng: np.random.Generator, samples: int, low: float, high: float, knots: int
) -> np.ndarray:
    """Returns a random line through `knots` values between `low` and `high`, [samples]."""
    positions = np.linspace(0, knots - 1, samples)
    return np.interp(positions, np.arange(knots), rng.uniform(low, high, knots))


def harmonic_tone(frequency_hz: np.ndarray, sample_rate_hz: int, amplitudes: Numbers) -> np.ndarray:
    """Synthesises harmonics of a frequency that may glide.

    Args:
      frequency_hz: Frequency of the first harmonic at each sample.
      sample_rate_hz: Sample rate in Hz.
      amplitudes: Amplitude of each harmonic, from the first one. Harmonics above 0.45 of the sample
        rate are left out.

    Returns:
      Waveform [samples].
    """
    phase = 2 * np.pi * np.cumsum(frequency_hz) / sample_rate_hz
    highest_hz = np.max(frequency_hz)
    usable = []
    for number, amplitude in enumerate(amplitudes, start=1):
        is_usable = number * highest_hz < 0.45 * sample_rate_hz
        usable.append(amplitude if is_usable else 0.0)
    # The recurrence of Chebyshev polynomials, sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x),
    # needs one sine and one cosine for all harmonics.
    twice_cosine = 2 * np.cos(phase)
    before = np.zeros_like(phase)
    current = np.sin(phase)
    out = usable[0] * current
    for amplitude in usable[1:]:
        following = twice_cosine * current - before
        before = current
        current = following
        if amplitude:
            out += amplitude * current
    return out


def constant_tone(
    frequency_hz: float, sample_rate_hz: int, samples: int, amplitudes: Numbers
) -> np.ndarray:
    """Synthesises harmonics of one frequency; see `harmonic_tone`."""
    return harmonic_tone(np.full(samples, frequency_hz), sample_rate_hz, amplitudes)


def pulse_train(
    frequency_hz: np.ndarray, sample_rate_hz: int, rng: np.random.Generator, jitter: float
) -> np.ndarray:
    """Returns one impulse for each period of a gliding frequency.

    Args:
      frequency_hz: Frequency at each sample.
      sample_rate_hz: Sample rate in Hz.
      rng: Random numbers for the heights.
      jitter: Standard deviation of the heights, whose mean is 1.

    Returns:
      Waveform [samples].
    """
    periods = np.floor(np.cumsum(frequency_hz) / sample_rate_hz)
    pulses = np.diff(periods, prepend=0.0)
    pulses *= 1 + jitter * rng.standard_normal(len(pulses))
    return pulses


def band_pass(
    waveform: np.ndarray, sample_rate_hz: int, low_hz: float, high_hz: float
) -> np.ndarray:
    """Filters with a second-order Butterworth band pass.

    An upper edge at or above 0.48 of the sample rate is no edge: the filter is then a high pass.
    """
    low = min(float(low_hz), 0.4 * sample_rate_hz)
    high = float(high_hz)
    if high >= 0.48 * sample_rate_hz or high <= 1.05 * low:
        sections = _butterworth("highpass", low, None, sample_rate_hz)
    else:
        sections = _butterworth("bandpass", low, high, sample_rate_hz)
    return signal.sosfilt(sections, waveform)


def band_noise(
    rng: np.random.Generator, sample_rate_hz: int, samples: int, low_hz: float, high_hz: float
) -> np.ndarray:
    """Returns Gaussian noise, of unit deviation before the band pass, [samples]."""
    return band_pass(rng.standard_normal(samples), sample_rate_hz, low_hz, high_hz)


def resonate(
    waveform: np.ndarray,
    sample_rate_hz: int,
    centres_hz: Numbers,
    widths_hz: Numbers,
    gains: Numbers,
) -> np.ndarray:
    """Filters with parallel two-pole resonators, each with its gain at its centre frequency."""
    out = np.zeros_like(waveform)
    for centre, width, gain in zip(centres_hz, widths_hz, gains, strict=True):
        if centre >= 0.45 * sample_rate_hz:
            continue
        radius = np.exp(-np.pi * width / sample_rate_hz)
        angle = 2 * np.pi * centre / sample_rate_hz
        # Normalises the gain at the centre to 1.
        scale = (1 - radius) * np.sqrt(1 - 2 * radius * np.cos(2 * angle) + radius**2)
        poles = [1, -2 * radius * np.cos(angle), radius**2]
        out += signal.lfilter([gain * scale], poles, waveform)
    return out


def struck_body(
    sample_rate_hz: int,
    seconds: float,
    partials_hz: Numbers,
    amplitudes: Numbers,
    decays_s: Numbers,
) -> np.ndarray:
    """Synthesises decaying sines of a struck body, with an attack of 1 ms.

    Args:
      sample_rate_hz: Sample rate in Hz.
      seconds: Length of the waveform.
      partials_hz: Frequency of each sine.
      amplitudes: Amplitude of each sine.
      decays_s: Time in which each sine falls by the factor e.

    Returns:
      Waveform [samples].
    """
    t = time_axis(sample_rate_hz, seconds)
    out = np.zeros(len(t))
    for partial, amplitude, decay in zip(partials_hz, amplitudes, decays_s, strict=True):
        if partial >= 0.45 * sample_rate_hz:
            continue
        # After seven decay times, nothing is audible.
        audible = max(1, min(len(t), round(7 * decay * sample_rate_hz)))
        t_audible = t[:audible]
        decaying = amplitude * np.exp(-t_audible / decay)
        out[:audible] += decaying * np.sin(2 * np.pi * partial * t_audible)
    attack = min(len(t), round(0.001 * sample_rate_hz))
    out[:attack] *= np.linspace(0, 1, attack)
    return out


def noise_burst(
    rng: np.random.Generator, sample_rate_hz: int, low_hz: float, high_hz: float, decay_s: float
) -> np.ndarray:
    """Returns a burst of band noise that decays, with RMS 1."""
    t = time_axis(sample_rate_hz, 6 * decay_s)
    noise = band_noise(rng, sample_rate_hz, len(t), low_hz, high_hz)
    burst = noise * np.exp(-t / decay_s) * np.minimum(1, t / 0.0008)
    return unit_power(burst)


def add_at(
    out: np.ndarray, at_s: float, sample_rate_hz: int, waveform: np.ndarray, gain: float = 1.0
) -> None:
    """Adds `waveform` times `gain` to `out` from the time `at_s` on; cuts it at the end."""
    start = round(at_s * sample_rate_hz)
    if 0 <= start < len(out):
        count = min(len(waveform), len(out) - start)
        out[start : start + count] += gain * waveform[:count]


def fades(samples: int, rise: float, fall: float) -> np.ndarray:
    """Returns an envelope with raised-cosine fades at its ends, [samples].

    Args:
      samples: Length of the envelope.
      rise: Share of the length that the first fade takes.
      fall: Share of the length that the last fade takes.
    """
    envelope = np.ones(samples)
    up = max(1, round(rise * samples))
    down = max(1, round(fall * samples))
    envelope[:up] *= 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, up))
    envelope[-down:] *= 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, down))
    return envelope


def pass_by(samples: int, closest: float, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the level and the Doppler shift of a source that passes by.

    Args:
      samples: Length of the curves.
      closest: Share of the length after which the source is nearest.
      sharpness: Speed; a larger value is a quicker passage.

    Returns:
      Level from 0 to 1, [samples], and speed towards the listener relative to the source's own,
      from 1 (approaching) to -1 (leaving), [samples].
    """
    away = sharpness * (np.linspace(0, 1, samples) - closest)
    return 1 / np.sqrt(1 + away**2), -away / np.sqrt(1 + away**2)


def unit_power(waveform: np.ndarray) -> np.ndarray:
    """Scales a waveform to RMS 1."""
    return waveform / (np.sqrt(np.mean(waveform**2)) + 1e-9)


def unit_deviation(waveform: np.ndarray) -> np.ndarray:
    """Scales a waveform to a standard deviation of 1."""
    return waveform / (np.std(waveform) + 1e-9)


@functools.lru_cache(maxsize=256)
def _butterworth(kind: str, low: float, high: float | None, sample_rate_hz: int) -> np.ndarray:
    edges = low if high is None else (low, high)
    return signal.butter(2, edges, kind, fs=sample_rate_hz, output="sos")

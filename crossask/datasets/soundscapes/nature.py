"""Sounds of animals, weather and water.

Each function returns a mono waveform [samples] of arbitrary level; see `event_kinds.EventKind`.
"""

import numpy as np

from crossask.datasets.soundscapes.synthesis import (
    add_at,
    band_noise,
    fades,
    harmonic_tone,
    pulse_train,
    random_curve,
    resonate,
    silence,
    time_axis,
    unit_deviation,
)


def birds(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises one bird's song: phrases of gliding chirps or a trill."""
    out = silence(sample_rate_hz, seconds)
    pitch_hz = rng.uniform(2300, 5200)
    at_s = rng.uniform(0, 0.1)
    while at_s < seconds - 0.05:
        start_hz, end_hz = pitch_hz * rng.uniform(0.75, 1.45, 2)
        length_s = rng.uniform(0.03, 0.16)
        gap_s = rng.uniform(0.02, 0.1)
        for _ in range(rng.integers(1, 9)):
            t = time_axis(sample_rate_hz, length_s)
            vibrato_depth = rng.uniform(0, 0.06)
            vibrato_hz = rng.uniform(20, 60)
            vibrato = 1 + vibrato_depth * np.sin(2 * np.pi * vibrato_hz * t)
            glide_hz = np.linspace(start_hz, end_hz, len(t)) * vibrato
            chirp = harmonic_tone(glide_hz, sample_rate_hz, (1, 0.12)) * fades(len(t), 0.3, 0.4)
            add_at(out, at_s, sample_rate_hz, chirp, rng.uniform(0.6, 1))
            at_s += length_s + gap_s
        at_s += rng.exponential(0.25)
    return out


def wind(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises a gust on the microphones and in the leaves."""
    samples = len(time_axis(sample_rate_hz, seconds))
    strength = random_curve(rng, samples, -0.2, 1, max(4, int(3 * seconds)))
    gust = np.clip(strength, 0, 1) ** 1.5
    buffet_hz = rng.uniform(150, 320)
    buffet = band_noise(rng, sample_rate_hz, samples, 30, buffet_hz) * 3
    white = rng.standard_normal(samples)
    howl = resonate(white, sample_rate_hz, rng.uniform(250, 700, 2), (60, 120), (6, 4))
    leaves = band_noise(rng, sample_rate_hz, samples, 2500, 9000) * rng.uniform(0.1, 0.5)
    return (buffet + howl + leaves) * gust * fades(samples, 0.2, 0.2)


def rain(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises a shower: hiss, and drops that hit something near."""
    samples = len(time_axis(sample_rate_hz, seconds))
    chances = rng.random(samples)
    drops_per_s = rng.uniform(60, 250)
    strengths = rng.exponential(1.0, samples)
    drops = np.where(chances < drops_per_s / sample_rate_hz, strengths, 0.0)
    centres_hz = rng.uniform(0.8, 1.2, 3) * np.array([1800, 3900, 7000])
    patter = resonate(drops, sample_rate_hz, centres_hz, 0.25 * centres_hz, (1, 1, 0.8))
    hiss = band_noise(rng, sample_rate_hz, samples, 3000, 14000)
    hiss = rng.uniform(0.4, 0.9) * hiss / np.std(hiss)
    return (unit_deviation(patter) + hiss) * fades(samples, 0.2, 0.2)


def dog_bark(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises barks in a row: rough voiced bursts with rising and falling pitch."""
    out = silence(sample_rate_hz, seconds)
    pitch_hz = rng.uniform(260, 620)
    at_s = rng.uniform(0, 0.05)
    formants_hz = rng.uniform(0.85, 1.2, 3) * np.array([750, 1500, 2700])
    while at_s < seconds - 0.12:
        length_s = rng.uniform(0.11, 0.22)
        t = time_axis(sample_rate_hz, length_s)
        glide_hz = pitch_hz * np.interp(t / length_s, [0, 0.3, 1], [0.8, 1.15, 0.6])
        voiced = pulse_train(glide_hz, sample_rate_hz, rng, 0.5)
        source = voiced + 0.05 * rng.standard_normal(len(t))
        bark = resonate(source, sample_rate_hz, formants_hz, (180, 250, 400), (1, 0.8, 0.4))
        bark = bark * fades(len(t), 0.12, 0.6)
        add_at(out, at_s, sample_rate_hz, unit_deviation(bark), rng.uniform(0.7, 1))
        # Most barks follow each other quickly; some after a pause.
        if rng.random() < 0.75:
            pause_s = rng.uniform(0.12, 0.35)
        else:
            pause_s = rng.uniform(0.5, 0.9)
        at_s += length_s + pause_s
    return out


def fountain(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises falling water: a bright steady splash with the pitches of many bubbles."""
    samples = len(time_axis(sample_rate_hz, seconds))
    low_hz = rng.uniform(500, 1100)
    high_hz = rng.uniform(4500, 9000)
    splash = band_noise(rng, sample_rate_hz, samples, low_hz, high_hz)
    out = splash / np.std(splash) * random_curve(rng, samples, 0.7, 1.1, int(8 * seconds) + 2)
    for _ in range(int(rng.uniform(25, 60) * seconds)):
        t = time_axis(sample_rate_hz, rng.uniform(0.02, 0.05))
        # The pitch of a bubble rises while it decays.
        rising_hz = rng.uniform(450, 2600) * (1 + 8 * t)
        at_s = rng.uniform(0, seconds)
        bubble = harmonic_tone(rising_hz, sample_rate_hz, (1,)) * np.exp(-t / 0.012)
        add_at(out, at_s, sample_rate_hz, bubble, rng.uniform(0.5, 2))
    return out * fades(samples, 0.12, 0.12)

"""Sounds of vehicles, of their doors and of ticket gates.

Each function takes random numbers, the sample rate in Hz and the duration in seconds, and returns a
mono waveform, float64 [samples], of arbitrary level; `event_kinds.synthesise` sets the level.
"""

import numpy as np

from crossask.datasets.soundscapes.synthesis import (
    add_at,
    band_noise,
    band_pass,
    constant_tone,
    fades,
    harmonic_tone,
    noise_burst,
    pass_by,
    pulse_train,
    random_curve,
    resonate,
    silence,
    struck_body,
    time_axis,
    unit_deviation,
)

# Partials of a struck gong relative to its strike note.
BELL_PARTIALS = np.array([1.0, 2.0, 2.42, 3.01, 4.23, 5.4])
BELL_AMPLITUDES = (0.7, 1, 0.7, 0.5, 0.35, 0.2)
BELL_DECAYS_S = 0.32 / np.arange(1, 7) ** 0.5


def engine_pass(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises a car that passes by: exhaust, tyres, Doppler shift."""
    samples = len(time_axis(sample_rate_hz, seconds))
    level, doppler = pass_by(samples, rng.uniform(0.35, 0.65), rng.uniform(5, 10))
    firings_per_s = rng.uniform(45, 110) * (1 + rng.uniform(0.02, 0.07) * doppler)
    centres_hz = rng.uniform(0.8, 1.25, 4) * np.array([110, 240, 480, 900])
    firings = pulse_train(firings_per_s, sample_rate_hz, rng, 0.15)
    motor = resonate(firings, sample_rate_hz, centres_hz, 0.35 * centres_hz, (1, 0.8, 0.5, 0.3))
    low_hz = rng.uniform(350, 600)
    high_hz = rng.uniform(1500, 2800)
    tyres = band_noise(rng, sample_rate_hz, samples, low_hz, high_hz)
    # Tyre noise rises more steeply than the motor when the car is near.
    mix = unit_deviation(motor) * rng.uniform(0.5, 1.0) + 1.6 * tyres * level
    return mix * level * fades(samples, 0.15, 0.15)


def diesel_idle(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises a bus engine from inside or beside it.

    It has 20 to 36 uneven firings a second, knocks, and sometimes revs up.
    """
    t = time_axis(sample_rate_hz, seconds)
    rise = 1.0
    if rng.random() < 0.4:
        rise = rng.uniform(1.3, 2.0)
    idle_per_s = rng.uniform(20, 36)
    firings_per_s = idle_per_s * np.interp(t / seconds, [0, 0.35, 0.85, 1], [1, 1, rise, rise])
    firings = pulse_train(firings_per_s, sample_rate_hz, rng, 0.3)
    centres_hz = rng.uniform(0.85, 1.2, 5) * np.array([70, 150, 320, 700, 1500])
    body = resonate(firings, sample_rate_hz, centres_hz, 0.3 * centres_hz, (1, 1, 0.8, 0.7, 0.5))
    knock = band_pass(firings, sample_rate_hz, 1800, 4500)
    mix = unit_deviation(body) + rng.uniform(0.15, 0.4) * unit_deviation(knock)
    return mix * fades(len(t), 0.12, 0.12)


def horn(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises a car's two-tone horn, blown once to three times."""
    t = time_axis(sample_rate_hz, seconds)
    low_hz = rng.uniform(320, 460)
    ratio = rng.uniform(1.18, 1.28)
    harmonics = 1.0 / np.arange(1, 13) ** 0.6
    # The pitch falls while the car moves away.
    drift = 1 - rng.uniform(0, 0.06) * t / seconds
    low = harmonic_tone(low_hz * drift, sample_rate_hz, harmonics)
    high = harmonic_tone(low_hz * ratio * drift, sample_rate_hz, harmonics)
    blast = low + high
    gate = np.zeros(len(t))
    at_s = 0.0
    for _ in range(rng.integers(1, 4)):
        length_s = rng.uniform(0.18, max(0.18, 0.7 * seconds))
        gate[round(at_s * sample_rate_hz) : round((at_s + length_s) * sample_rate_hz)] = 1
        at_s += length_s + rng.uniform(0.08, 0.25)
    # Ramps of 12 ms avoid clicks where the blasts begin and end.
    envelope = _smoothed(gate, round(0.012 * sample_rate_hz))
    return band_pass(blast * envelope, sample_rate_hz, 250, 7000)


def siren(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises an emergency vehicle that comes or goes: two tones in turn, or a wail."""
    t = time_axis(sample_rate_hz, seconds)
    low_hz = rng.uniform(380, 520)
    period_s = rng.uniform(0.45, 0.7)
    if rng.random() < 0.5:
        phase_s = (t + rng.uniform(0, period_s)) % (2 * period_s)
        high_hz = low_hz * rng.uniform(1.3, 1.36)
        frequency_hz = np.where(phase_s < period_s, low_hz, high_hz)
    else:
        wail_s = rng.uniform(1.2, 3.0)
        wail_phase = rng.uniform(0, 6)
        frequency_hz = low_hz * (2 + np.sin(2 * np.pi * t / wail_s + wail_phase))
    # The pitch falls by at most 10 % during the event, or rises by at most 6 %.
    doppler = rng.uniform(-0.03, 0.05) * np.linspace(1, -1, len(t))
    wave = harmonic_tone(frequency_hz * (1 + doppler), sample_rate_hz, 1.0 / np.arange(1, 9) ** 0.8)
    wave = band_pass(wave, sample_rate_hz, 350, 5000)
    return wave * random_curve(rng, len(t), 0.7, 1, 4) * fades(len(t), 0.1, 0.1)


def rail_clatter(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises bogies over rail joints: pairs of impacts on a rolling rumble."""
    samples = len(time_axis(sample_rate_hz, seconds))
    rumble_hz = rng.uniform(250, 500)
    rumble = band_noise(rng, sample_rate_hz, samples, 60, rumble_hz)
    out = rumble * rng.uniform(0.8, 1.6) * fades(samples, 0.12, 0.12)
    period_s = 1 / rng.uniform(1.0, 2.6)
    between_axles_s = rng.uniform(0.09, 0.17)
    partials_hz = rng.uniform(0.9, 1.1, 4) * np.array([420, 760, 1380, 2300])
    decays_s = (0.03, 0.025, 0.02, 0.015)
    steel = struck_body(sample_rate_hz, 0.4, partials_hz, (1, 0.8, 0.6, 0.35), decays_s)
    at_s = rng.uniform(0, 0.2)
    while at_s < seconds:
        for offset_s, gain in ((0, 1.0), (between_axles_s, 0.85)):
            hit = gain * rng.uniform(0.8, 1.1)
            hit_s = at_s + offset_s
            add_at(
                out,
                hit_s,
                sample_rate_hz,
                noise_burst(rng, sample_rate_hz, 80, 700, 0.022),
                1.6 * hit,
            )
            add_at(
                out,
                hit_s,
                sample_rate_hz,
                noise_burst(rng, sample_rate_hz, 900, 3200, 0.01),
                1.1 * hit,
            )
            add_at(out, hit_s, sample_rate_hz, steel, 3.0 * hit)
        at_s += period_s * rng.uniform(0.97, 1.03)
    return out


def brake_squeal(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises steel on steel or a worn disc: one to three unsteady high tones."""
    samples = len(time_axis(sample_rate_hz, seconds))
    out = np.zeros(samples)
    for _ in range(rng.integers(1, 4)):
        pitch_hz = rng.uniform(1700, 5200)
        unsteadiness = random_curve(rng, samples, 0.985, 1.015, 12)
        drift = np.linspace(1, rng.uniform(0.92, 1.02), samples)
        frequency_hz = pitch_hz * unsteadiness * drift
        flutter = random_curve(rng, samples, 0.1, 1.2, max(4, int(14 * seconds)))
        # Values above 1 are cut, so that the level is constant for part of the time.
        flutter = np.clip(flutter, 0, 1)
        out += (
            rng.uniform(0.4, 1)
            * harmonic_tone(frequency_hz, sample_rate_hz, (1, 0.4, 0.25))
            * flutter
        )
    out += 0.25 * band_noise(rng, sample_rate_hz, samples, 1500, 7000)
    return out * fades(samples, 0.35, 0.25)


def tram_bell(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises the driver's gong, struck 3 to 6 times a second."""
    out = silence(sample_rate_hz, seconds)
    partials_hz = rng.uniform(620, 1100) * BELL_PARTIALS
    gong = struck_body(sample_rate_hz, 1.2, partials_hz, BELL_AMPLITUDES, BELL_DECAYS_S)
    at_s = 0.0
    interval_s = 1 / rng.uniform(3, 6)
    while at_s < seconds - 0.15:
        add_at(out, at_s, sample_rate_hz, gong, rng.uniform(0.7, 1))
        # The driver misses a stroke now and then.
        if rng.random() < 0.85:
            at_s += interval_s * rng.uniform(0.95, 1.05)
        else:
            at_s += interval_s * 2
    return out


def stop_bell(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises the stop request of a passenger: one or two clean electronic notes."""
    out = silence(sample_rate_hz, seconds)
    note_hz = rng.uniform(1150, 1900)
    for number in range(rng.integers(1, 3)):
        pitch_hz = note_hz if number == 0 else 0.8 * note_hz
        partials_hz = pitch_hz * np.array([1, 3.0])
        note = struck_body(sample_rate_hz, seconds, partials_hz, (1, 0.15), (0.3, 0.1))
        add_at(out, 0.32 * number, sample_rate_hz, note)
    return out


def door_chime(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises the signal of closing doors: a fast warble of two or three notes."""
    out = silence(sample_rate_hz, seconds)
    root_hz = rng.uniform(650, 1150)
    interval_s = rng.uniform(0.09, 0.2)
    ratios = rng.permutation([1.0, 1.26, 1.5])
    pattern = ratios[: rng.integers(2, 4)]
    samples = len(time_axis(sample_rate_hz, 0.85 * interval_s))
    for number in range(int(seconds / interval_s)):
        pitch_hz = root_hz * pattern[number % len(pattern)]
        # Odd harmonics only, as in a square wave.
        note = constant_tone(pitch_hz, sample_rate_hz, samples, (1, 0, 0.35, 0, 0.15))
        add_at(out, number * interval_s, sample_rate_hz, note * fades(samples, 0.06, 0.3))
    return out


def door_hiss(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises doors that are released by compressed air, roll and shut with a thump."""
    t = time_axis(sample_rate_hz, seconds)
    low_hz = rng.uniform(1800, 3200)
    air = band_noise(rng, sample_rate_hz, len(t), low_hz, 11000)
    hiss = air * np.exp(-t / rng.uniform(0.15, 0.35)) * np.minimum(1, t / 0.01)
    roll = band_noise(rng, sample_rate_hz, len(t), 150, 900) * fades(len(t), 0.5, 0.2)
    out = 2.0 * hiss + 0.5 * roll
    shut_s = rng.uniform(0.65, 0.85) * seconds
    add_at(out, shut_s, sample_rate_hz, noise_burst(rng, sample_rate_hz, 70, 600, 0.04), 1.5)
    return out


def turnstile_beep(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises ticket gates and tills: one to four short square beeps, some with a click."""
    out = silence(sample_rate_hz, seconds)
    pitch_hz = rng.uniform(950, 1700)
    length_s = rng.uniform(0.06, 0.14)
    samples = len(time_axis(sample_rate_hz, length_s))
    beep = constant_tone(pitch_hz, sample_rate_hz, samples, (1, 0, 0.7, 0, 0.5, 0, 0.3))
    beep = beep * fades(samples, 0.05, 0.05)
    at_s = 0.0
    has_gate = rng.random() < 0.5
    for _ in range(rng.integers(1, 5)):
        add_at(out, at_s, sample_rate_hz, beep)
        if has_gate:
            click = noise_burst(rng, sample_rate_hz, 300, 2500, 0.015)
            add_at(out, at_s + length_s + 0.1, sample_rate_hz, click, 0.5)
        at_s += length_s + rng.choice([0.07, 0.3])
    return out


def bicycle_bell(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises a thumbed bell: bursts of fast strikes on a small bright gong."""
    out = silence(sample_rate_hz, seconds)
    partials_hz = rng.uniform(2100, 3300) * np.array([1, 1.01, 2.3, 3.9])
    decays_s = (0.25, 0.22, 0.12, 0.06)
    gong = struck_body(sample_rate_hz, 0.8, partials_hz, (1, 0.7, 0.5, 0.2), decays_s)
    at_s = 0.0
    while at_s < seconds - 0.2:
        for _ in range(rng.integers(4, 8)):
            add_at(out, at_s, sample_rate_hz, gong, rng.uniform(0.5, 1))
            at_s += rng.uniform(0.032, 0.05)
        at_s += rng.uniform(0.15, 0.4)
    return out


def jet(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises an aircraft overhead: a roar, and the falling whine of its fans."""
    samples = len(time_axis(sample_rate_hz, seconds))
    level, doppler = pass_by(samples, rng.uniform(0.3, 0.7), rng.uniform(2.5, 5))
    low_roar = band_noise(rng, sample_rate_hz, samples, 60, 600) * 1.5
    high_hz = rng.uniform(2500, 5000)
    roar = low_roar + band_noise(rng, sample_rate_hz, samples, 600, high_hz)
    whine_hz = rng.uniform(900, 2200) * (1 + 0.25 * doppler)
    whine = harmonic_tone(whine_hz, sample_rate_hz, (1, 0.4, 0.2))
    whine = whine * random_curve(rng, samples, 0.1, 0.4, 8)
    rumble = roar * random_curve(rng, samples, 0.7, 1.1, 12)
    return (rumble + whine) * level * fades(samples, 0.25, 0.25)


def _smoothed(gate: np.ndarray, samples: int) -> np.ndarray:
    """Returns the moving average of a curve: at each sample, over the last `samples` values."""
    # A running sum: each value is added when it enters the window and subtracted when it leaves.
    padding = np.zeros(samples)
    entering = np.r_[gate, padding]
    leaving = np.r_[padding, gate]
    return np.cumsum(entering - leaving)[: len(gate)] / samples

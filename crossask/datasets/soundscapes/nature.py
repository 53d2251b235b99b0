"""Sounds of animals, weather and water: (rng, sample_rate_hz, seconds) -> mono waveform, level arbitrary."""

import numpy as np

from crossask.datasets.soundscapes import synthesis as s


def birds(rng, rate, seconds):
    """One bird's song: phrases of gliding chirps or a trill."""
    out = np.zeros(len(s.times(rate, seconds)))
    base, at = rng.uniform(2300, 5200), rng.uniform(0, 0.1)
    while at < seconds - 0.05:
        start, end = base * rng.uniform(0.75, 1.45, 2)
        length, gap = rng.uniform(0.03, 0.16), rng.uniform(0.02, 0.1)
        for _ in range(rng.integers(1, 9)):
            t = s.times(rate, length)
            bend = np.linspace(start, end, len(t)) * (
                1 + rng.uniform(0, 0.06) * np.sin(2 * np.pi * rng.uniform(20, 60) * t)
            )
            s.add(
                out,
                at,
                rate,
                s.tone(bend, rate, (1, 0.12)) * s.swell(len(t), 0.3, 0.4),
                rng.uniform(0.6, 1),
            )
            at += length + gap
        at += rng.exponential(0.25)
    return out


def wind(rng, rate, seconds):
    """A gust on the microphones and in the leaves."""
    t = s.times(rate, seconds)
    gust = np.clip(s.curve(rng, len(t), -0.2, 1, max(4, int(3 * seconds))), 0, 1) ** 1.5
    buffet = s.noise(rng, rate, len(t), 30, rng.uniform(150, 320)) * 3
    howl = s.resonances(
        rng.standard_normal(len(t)), rate, rng.uniform(250, 700, 2), (60, 120), (6, 4)
    )
    leaves = s.noise(rng, rate, len(t), 2500, 9000) * rng.uniform(0.1, 0.5)
    return (buffet + howl + leaves) * gust * s.swell(len(t), 0.2, 0.2)


def rain(rng, rate, seconds):
    """A shower: hiss under drops that hit something near."""
    t = s.times(rate, seconds)
    drops = (rng.random(len(t)) < rng.uniform(60, 250) / rate) * rng.exponential(1.0, len(t))
    centres = rng.uniform(0.8, 1.2, 3) * np.array([1800, 3900, 7000])
    patter = s.resonances(drops, rate, centres, 0.25 * centres, (1, 1, 0.8))
    hiss = s.noise(rng, rate, len(t), 3000, 14000)
    return (
        patter / (np.std(patter) + 1e-9) + rng.uniform(0.4, 0.9) * hiss / np.std(hiss)
    ) * s.swell(len(t), 0.2, 0.2)


def dog_bark(rng, rate, seconds):
    """Barks in a row: a rough voiced burst with rising and falling pitch."""
    out = np.zeros(len(s.times(rate, seconds)))
    pitch, at = rng.uniform(260, 620), rng.uniform(0, 0.05)
    formants = rng.uniform(0.85, 1.2, 3) * np.array([750, 1500, 2700])
    while at < seconds - 0.12:
        length = rng.uniform(0.11, 0.22)
        t = s.times(rate, length)
        glide = pitch * np.interp(t / length, [0, 0.3, 1], [0.8, 1.15, 0.6])
        source = s.pulses(glide, rate, rng, 0.5) + 0.05 * rng.standard_normal(len(t))
        bark = s.resonances(source, rate, formants, (180, 250, 400), (1, 0.8, 0.4)) * s.swell(
            len(t), 0.12, 0.6
        )
        s.add(out, at, rate, bark / (np.std(bark) + 1e-9), rng.uniform(0.7, 1))
        at += length + (rng.uniform(0.12, 0.35) if rng.random() < 0.75 else rng.uniform(0.5, 0.9))
    return out


def fountain(rng, rate, seconds):
    """Falling water: a bright steady splash with the pitch of many bubbles in it."""
    t = s.times(rate, seconds)
    splash = s.noise(rng, rate, len(t), rng.uniform(500, 1100), rng.uniform(4500, 9000))
    out = splash / np.std(splash) * s.curve(rng, len(t), 0.7, 1.1, int(8 * seconds) + 2)
    for _ in range(int(rng.uniform(25, 60) * seconds)):
        note = s.times(rate, rng.uniform(0.02, 0.05))
        rising = rng.uniform(450, 2600) * (1 + 8 * note)
        s.add(
            out,
            rng.uniform(0, seconds),
            rate,
            s.tone(rising, rate, (1,)) * np.exp(-note / 0.012),
            rng.uniform(0.5, 2),
        )
    return out * s.swell(len(t), 0.12, 0.12)

"""Sounds that people make or carry: (rng, sample_rate_hz, seconds) -> mono waveform, level arbitrary."""

import numpy as np

from crossask.datasets.soundscapes import synthesis as s

# first four formants in Hz of a, e, i, o, u of an adult male; others scale them
VOWELS = (
    (730, 1090, 2440, 3400),
    (530, 1840, 2480, 3500),
    (270, 2290, 3010, 3700),
    (570, 840, 2410, 3300),
    (300, 870, 2240, 3300),
)


def _syllables(rng, rate, seconds, pitch_hz, scale, per_second, breath=0.5, gap=0.15):
    """Vowels of a pulse train through formants, under a falling pitch, with noise bursts for consonants and pauses."""
    out = np.zeros(len(s.times(rate, seconds)))
    at, phrase_end = 0.0, rng.uniform(0.8, 1.8)
    while at < seconds - 0.08:
        length = rng.uniform(0.65, 1.3) / per_second
        t = s.times(rate, length)
        fall = 1.12 - 0.25 * (at % 1.8) / 1.8
        pitch = pitch_hz * fall * np.interp(t, [0, length / 2, length], rng.uniform(0.88, 1.15, 3))
        glottis = s.pulses(pitch, rate, rng, 0.08) + 0.004 * rng.standard_normal(len(t))
        formants = scale * np.array(VOWELS[rng.integers(len(VOWELS))]) * rng.uniform(0.95, 1.05, 4)
        vowel = s.resonances(glottis, rate, formants, (80, 100, 140, 200), (1.0, 0.7, 0.35, 0.2))
        vowel *= s.swell(len(t), rng.uniform(0.1, 0.25), rng.uniform(0.2, 0.45)) * rng.uniform(
            0.6, 1.2
        )
        s.add(out, at, rate, vowel / (np.sqrt(np.mean(vowel**2)) + 1e-9))
        if rng.random() < breath:
            low = rng.uniform(1800, 4500)
            s.add(
                out,
                at,
                rate,
                s.thud(rng, rate, low, 2 * low, rng.uniform(0.008, 0.03)),
                rng.uniform(0.1, 0.3),
            )
        at += length
        if at > phrase_end:
            at += rng.uniform(gap, 3 * gap)
            phrase_end = at + rng.uniform(0.8, 1.8)
    return out


def voice(rng, rate, seconds):
    """An adult speaking, pitch 85 to 240 Hz, 3.5 to 6 syllables a second."""
    pitch = np.exp(rng.uniform(np.log(85), np.log(240)))
    return _syllables(
        rng,
        rate,
        seconds,
        pitch,
        1 + 0.17 * np.clip((pitch - 110) / 100, 0, 1),
        rng.uniform(3.5, 6),
    )


def child_shout(rng, rate, seconds):
    """A child calling: high, long, gliding vowels."""
    pitch = rng.uniform(330, 620)
    return _syllables(
        rng,
        rate,
        seconds,
        pitch,
        rng.uniform(1.3, 1.45),
        rng.uniform(1.8, 3.2),
        breath=0.3,
        gap=0.25,
    )


def footsteps(rng, rate, seconds):
    """One walker: heel and ball of each foot on one floor."""
    out = np.zeros(len(s.times(rate, seconds)))
    interval, bright, gravel = 1 / rng.uniform(1.5, 2.3), rng.uniform(900, 3500), rng.random() < 0.3
    at = rng.uniform(0.02, 0.12)
    while at < seconds:
        weight = rng.uniform(0.7, 1.1)
        s.add(out, at, rate, s.thud(rng, rate, 90, 400, 0.018), 0.7 * weight)
        s.add(out, at, rate, s.thud(rng, rate, bright, 2.5 * bright, 0.007), weight)
        scrape = s.thud(rng, rate, 1500, 6000, 0.045 if gravel else 0.012)
        s.add(out, at + rng.uniform(0.06, 0.1), rate, scrape, (0.6 if gravel else 0.3) * weight)
        at += interval * rng.uniform(0.94, 1.06)
    return out


def announcement(rng, rate, seconds):
    """A gong of two to four notes, then a voice through a horn loudspeaker with its echo from the next one."""
    out = np.zeros(len(s.times(rate, seconds)))
    root, step = rng.uniform(380, 620), rng.uniform(0.28, 0.45)
    melody = rng.permutation([1.0, 1.25, 1.5, 1.0 / 1.189])[
        : rng.integers(2, 4 if seconds < 2.5 else 5)
    ]
    for number, ratio in enumerate(melody):
        gong = s.struck(
            rate, 1.2, root * ratio * np.array([1, 2, 3.01]), (1, 0.35, 0.12), (0.45, 0.25, 0.12)
        )
        s.add(out, number * step, rate, gong, 1.6)
    start = min(len(melody) * step + 0.25, 0.55 * seconds)
    speech = voice(rng, rate, max(0.3, seconds - start))
    speech = s.band(np.tanh(1.5 * s.band(speech, rate, 350, 3200)), rate, 400, 3400)
    s.add(out, start, rate, speech, 1.6)
    s.add(out, start + rng.uniform(0.09, 0.2), rate, speech, 0.7)
    return out


def music(rng, rate, seconds):
    """Chords, bass and a beat out of small loudspeakers or a busker's amplifier."""
    out = np.zeros(len(s.times(rate, seconds)))
    beat, root = 60 / rng.uniform(84, 138), rng.uniform(180, 320)
    scale = (
        np.array([0, 2, 3, 5, 7, 8, 10]) if rng.random() < 0.5 else np.array([0, 2, 4, 5, 7, 9, 11])
    )
    harmonics = 1.0 / np.arange(1, 7) ** rng.uniform(1.0, 2.0)
    degree, decay = 0, rng.uniform(0.25, 0.9)
    for number in range(int(seconds / beat * 2) + 1):
        at = number * beat / 2
        if number % 4 == 0:
            degree = int(rng.choice([0, 3, 4, 5]))
        notes = (
            [degree + (0, 2, 4)[number % 3] + 7 * int(rng.random() < 0.3)]
            if number % 4
            else [degree, degree + 2, degree + 4]
        )
        t = s.times(rate, min(beat * 1.5, seconds))
        for note in notes:
            pitch = root * 2 ** ((scale[note % 7] + 12 * (note // 7)) / 12)
            s.add(
                out,
                at,
                rate,
                s.tone(np.full(len(t), pitch), rate, harmonics)
                * np.exp(-t / decay)
                * np.minimum(1, t / 0.006),
            )
        if number % 2 == 0:
            bass = root / 2 * 2 ** (scale[degree % 7] / 12)
            s.add(
                out,
                at,
                rate,
                s.tone(np.full(len(t), bass), rate, (1, 0.4, 0.2)) * np.exp(-t / 0.4),
                1.2,
            )
        s.add(out, at, rate, s.thud(rng, rate, 5000, 11000, 0.012), 0.25 if number % 2 else 0.12)
    return s.band(out, rate, 120, rng.uniform(5000, 12000))


def cutlery(rng, rate, seconds):
    """Plates, cups and forks: clusters of short inharmonic rings."""
    out = np.zeros(len(s.times(rate, seconds)))
    at = rng.uniform(0, 0.15)
    while at < seconds:
        for _ in range(rng.integers(1, 5)):
            base, count = rng.uniform(1500, 5200), 5
            partials = base * np.cumprod(np.r_[1, rng.uniform(1.15, 1.6, count - 1)])
            decay = rng.uniform(0.015, 0.12) * np.linspace(1, 0.4, count)
            s.add(
                out,
                at,
                rate,
                s.struck(rate, 0.35, partials, rng.uniform(0.3, 1, count), decay),
                rng.uniform(0.3, 1),
            )
            s.add(out, at, rate, s.thud(rng, rate, 2500, 9000, 0.004), 0.12)
            at += rng.uniform(0.04, 0.16)
        at += rng.exponential(0.35)
    return out


def trolley(rng, rate, seconds):
    """Suitcase wheels: a rolling rattle, with a double click at every joint of the tiles."""
    t = s.times(rate, seconds)
    wheel, joints = rng.uniform(18, 34), rng.uniform(3, 7)
    rolling = s.noise(rng, rate, len(t), rng.uniform(180, 350), rng.uniform(1400, 2600))
    rolling *= (1 + 0.5 * np.sin(2 * np.pi * wheel * t)) * s.curve(rng, len(t), 0.7, 1.1, 6)
    out = 2.0 * rolling * s.swell(len(t), 0.2, 0.2)
    at, click = rng.uniform(0, 0.2), s.thud(rng, rate, 700, 4500, 0.008)
    while at < seconds:
        s.add(out, at, rate, click, 1.4 * rng.uniform(0.7, 1.1))
        s.add(out, at + 0.12 / joints, rate, click, 0.9)
        at += rng.uniform(0.93, 1.07) / joints
    return out

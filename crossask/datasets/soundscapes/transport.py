"""Sounds of vehicles, their doors and their gates: (rng, sample_rate_hz, seconds) -> mono waveform, level arbitrary."""

import numpy as np

from crossask.datasets.soundscapes import synthesis as s

BELL = np.array(
    [1.0, 2.0, 2.42, 3.01, 4.23, 5.4]
)  # partials of a struck gong, times its strike note


def engine_pass(rng, rate, seconds):
    """A car going by: firing pulses through exhaust resonances, tyre hiss, Doppler shift."""
    t = s.times(rate, seconds)
    level, doppler = s.passing(len(t), rng.uniform(0.35, 0.65), rng.uniform(5, 10))
    firing = rng.uniform(45, 110) * (1 + rng.uniform(0.02, 0.07) * doppler)
    centres = rng.uniform(0.8, 1.25, 4) * np.array([110, 240, 480, 900])
    motor = s.resonances(
        s.pulses(firing, rate, rng, 0.15), rate, centres, 0.35 * centres, (1, 0.8, 0.5, 0.3)
    )
    tyres = s.noise(rng, rate, len(t), rng.uniform(350, 600), rng.uniform(1500, 2800))
    mix = motor / (np.std(motor) + 1e-9) * rng.uniform(0.5, 1.0) + 1.6 * tyres * level
    return mix * level * s.swell(len(t), 0.15, 0.15)


def diesel_idle(rng, rate, seconds):
    """A bus engine from inside or beside: 20 to 36 uneven firings a second, knocking, sometimes revving up."""
    t = s.times(rate, seconds)
    rise = rng.uniform(1.3, 2.0) if rng.random() < 0.4 else 1.0
    firing = rng.uniform(20, 36) * np.interp(t / seconds, [0, 0.35, 0.85, 1], [1, 1, rise, rise])
    beats = s.pulses(firing, rate, rng, 0.3)
    centres = rng.uniform(0.85, 1.2, 5) * np.array([70, 150, 320, 700, 1500])
    body = s.resonances(beats, rate, centres, 0.3 * centres, (1, 1, 0.8, 0.7, 0.5))
    knock = s.band(beats, rate, 1800, 4500)
    body, knock = body / (np.std(body) + 1e-9), knock / (np.std(knock) + 1e-9)
    return (body + rng.uniform(0.15, 0.4) * knock) * s.swell(len(t), 0.12, 0.12)


def horn(rng, rate, seconds):
    """A car's two-tone horn, blown once to three times."""
    t = s.times(rate, seconds)
    low, ratio = rng.uniform(320, 460), rng.uniform(1.18, 1.28)
    harmonics = 1.0 / np.arange(1, 13) ** 0.6
    drift = 1 - rng.uniform(0, 0.06) * t / seconds  # the car moves away
    blast = s.tone(low * drift, rate, harmonics) + s.tone(low * ratio * drift, rate, harmonics)
    gate, at = np.zeros(len(t)), 0.0
    for _ in range(rng.integers(1, 4)):
        length = rng.uniform(0.18, 0.7 * seconds)
        gate[round(at * rate) : round((at + length) * rate)] = 1
        at += length + rng.uniform(0.08, 0.25)
    smooth = round(0.012 * rate)
    gate = (
        np.cumsum(np.r_[gate, np.zeros(smooth)] - np.r_[np.zeros(smooth), gate])[: len(t)] / smooth
    )
    return s.band(blast * gate, rate, 250, 7000)


def siren(rng, rate, seconds):
    """An emergency vehicle: two tones in turn or a wail, coming or going."""
    t = s.times(rate, seconds)
    low, period = rng.uniform(380, 520), rng.uniform(0.45, 0.7)
    if rng.random() < 0.5:
        frequency = np.where(
            (t + rng.uniform(0, period)) % (2 * period) < period, low, low * rng.uniform(1.3, 1.36)
        )
    else:
        frequency = low * (2 + np.sin(2 * np.pi * t / rng.uniform(1.2, 3.0) + rng.uniform(0, 6)))
    frequency = frequency * (1 + rng.uniform(-0.03, 0.05) * np.linspace(1, -1, len(t)))
    wave = s.tone(frequency, rate, 1.0 / np.arange(1, 9) ** 0.8)
    return (
        s.band(wave, rate, 350, 5000) * s.curve(rng, len(t), 0.7, 1, 4) * s.swell(len(t), 0.1, 0.1)
    )


def rail_clatter(rng, rate, seconds):
    """Bogies over rail joints: paired double impacts in rhythm on a rolling rumble."""
    t = s.times(rate, seconds)
    out = (
        s.noise(rng, rate, len(t), 60, rng.uniform(250, 500))
        * rng.uniform(0.8, 1.6)
        * s.swell(len(t), 0.12, 0.12)
    )
    period, axle = 1 / rng.uniform(1.0, 2.6), rng.uniform(0.09, 0.17)
    partials = rng.uniform(0.9, 1.1, 4) * np.array([420, 760, 1380, 2300])
    steel = s.struck(rate, 0.4, partials, (1, 0.8, 0.6, 0.35), (0.03, 0.025, 0.02, 0.015))
    at = rng.uniform(0, 0.2)
    while at < seconds:
        for offset, gain in ((0, 1.0), (axle, 0.85)):
            hit = gain * rng.uniform(0.8, 1.1)
            s.add(out, at + offset, rate, s.thud(rng, rate, 80, 700, 0.022), 1.6 * hit)
            s.add(out, at + offset, rate, s.thud(rng, rate, 900, 3200, 0.01), 1.1 * hit)
            s.add(out, at + offset, rate, steel, 3.0 * hit)
        at += period * rng.uniform(0.97, 1.03)
    return out


def brake_squeal(rng, rate, seconds):
    """Steel on steel or a worn disc: one to three unsteady high tones that swell and die."""
    t = s.times(rate, seconds)
    out = np.zeros(len(t))
    for _ in range(rng.integers(1, 4)):
        frequency = (
            rng.uniform(1700, 5200)
            * s.curve(rng, len(t), 0.985, 1.015, 12)
            * np.linspace(1, rng.uniform(0.92, 1.02), len(t))
        )
        flutter = np.clip(s.curve(rng, len(t), 0.1, 1.2, max(4, int(14 * seconds))), 0, 1)
        out += rng.uniform(0.4, 1) * s.tone(frequency, rate, (1, 0.4, 0.25)) * flutter
    out += 0.25 * s.noise(rng, rate, len(t), 1500, 7000)
    return out * s.swell(len(t), 0.35, 0.25)


def tram_bell(rng, rate, seconds):
    """The driver's gong, struck 3 to 6 times a second."""
    out = np.zeros(len(s.times(rate, seconds)))
    gong = s.struck(
        rate,
        1.2,
        rng.uniform(620, 1100) * BELL,
        (0.7, 1, 0.7, 0.5, 0.35, 0.2),
        0.32 / np.arange(1, 7) ** 0.5,
    )
    at, interval = 0.0, 1 / rng.uniform(3, 6)
    while at < seconds - 0.15:
        s.add(out, at, rate, gong, rng.uniform(0.7, 1))
        at += interval * (rng.uniform(0.95, 1.05) if rng.random() < 0.85 else 2)
    return out


def stop_bell(rng, rate, seconds):
    """A passenger asks for the next stop: one or two clean electronic dings."""
    out = np.zeros(len(s.times(rate, seconds)))
    note = rng.uniform(1150, 1900)
    for number in range(rng.integers(1, 3)):
        ding = s.struck(
            rate,
            seconds,
            note * (0.8 if number else 1.0) * np.array([1, 3.0]),
            (1, 0.15),
            (0.3, 0.1),
        )
        s.add(out, 0.32 * number, rate, ding)
    return out


def door_chime(rng, rate, seconds):
    """Doors about to close: a fast warble of two or three notes, repeated to the end."""
    out = np.zeros(len(s.times(rate, seconds)))
    root, interval = rng.uniform(650, 1150), rng.uniform(0.09, 0.2)
    pattern = rng.permutation([1.0, 1.26, 1.5])[: rng.integers(2, 4)]
    t = s.times(rate, 0.85 * interval)
    for number in range(int(seconds / interval)):
        frequency = np.full(len(t), root * pattern[number % len(pattern)])
        s.add(
            out,
            number * interval,
            rate,
            s.tone(frequency, rate, (1, 0, 0.35, 0, 0.15)) * s.swell(len(t), 0.06, 0.3),
        )
    return out


def door_hiss(rng, rate, seconds):
    """Compressed air lets the doors go; they roll and shut with a thump."""
    t = s.times(rate, seconds)
    hiss = (
        s.noise(rng, rate, len(t), rng.uniform(1800, 3200), 11000)
        * np.exp(-t / rng.uniform(0.15, 0.35))
        * np.minimum(1, t / 0.01)
    )
    roll = s.noise(rng, rate, len(t), 150, 900) * s.swell(len(t), 0.5, 0.2)
    out = 2.0 * hiss + 0.5 * roll
    s.add(out, rng.uniform(0.65, 0.85) * seconds, rate, s.thud(rng, rate, 70, 600, 0.04), 1.5)
    return out


def turnstile_beep(rng, rate, seconds):
    """Ticket gates and tills: one to four short square beeps, some with the click of the gate."""
    out = np.zeros(len(s.times(rate, seconds)))
    pitch, length = rng.uniform(950, 1700), rng.uniform(0.06, 0.14)
    t = s.times(rate, length)
    beep = s.tone(np.full(len(t), pitch), rate, (1, 0, 0.7, 0, 0.5, 0, 0.3)) * s.swell(
        len(t), 0.05, 0.05
    )
    at, gate = 0.0, rng.random() < 0.5
    for _ in range(rng.integers(1, 5)):
        s.add(out, at, rate, beep)
        if gate:
            s.add(out, at + length + 0.1, rate, s.thud(rng, rate, 300, 2500, 0.015), 0.5)
        at += length + rng.choice([0.07, 0.3])
    return out


def bicycle_bell(rng, rate, seconds):
    """A thumbed bell: bursts of fast strikes on a small bright gong."""
    out = np.zeros(len(s.times(rate, seconds)))
    gong = s.struck(
        rate,
        0.8,
        rng.uniform(2100, 3300) * np.array([1, 1.01, 2.3, 3.9]),
        (1, 0.7, 0.5, 0.2),
        (0.25, 0.22, 0.12, 0.06),
    )
    at = 0.0
    while at < seconds - 0.2:
        for _ in range(rng.integers(4, 8)):
            s.add(out, at, rate, gong, rng.uniform(0.5, 1))
            at += rng.uniform(0.032, 0.05)
        at += rng.uniform(0.15, 0.4)
    return out


def jet(rng, rate, seconds):
    """An aircraft overhead: a roar that comes and goes, with the falling whine of its fans."""
    t = s.times(rate, seconds)
    level, doppler = s.passing(len(t), rng.uniform(0.3, 0.7), rng.uniform(2.5, 5))
    roar = s.noise(rng, rate, len(t), 60, 600) * 1.5 + s.noise(
        rng, rate, len(t), 600, rng.uniform(2500, 5000)
    )
    whine = s.tone(rng.uniform(900, 2200) * (1 + 0.25 * doppler), rate, (1, 0.4, 0.2)) * s.curve(
        rng, len(t), 0.1, 0.4, 8
    )
    return (roar * s.curve(rng, len(t), 0.7, 1.1, 12) + whine) * level * s.swell(len(t), 0.25, 0.25)

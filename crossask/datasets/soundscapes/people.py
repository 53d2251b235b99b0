"""Sounds that people make, or that come from what they carry and play.

Each public function returns a mono waveform [samples] of arbitrary level; see
`event_kinds.EventKind`.
"""

import dataclasses

import numpy as np

from crossask.datasets.soundscapes.synthesis import (
    add_at,
    band_noise,
    band_pass,
    constant_tone,
    fades,
    noise_burst,
    pulse_train,
    random_curve,
    resonate,
    silence,
    struck_body,
    time_axis,
    unit_power,
)

# First four formants in Hz of a, e, i, o, u of an adult male.
VOWEL_FORMANTS_HZ = (
    (730, 1090, 2440, 3400),
    (530, 1840, 2480, 3500),
    (270, 2290, 3010, 3700),
    (570, 840, 2410, 3300),
    (300, 870, 2240, 3300),
)
# Semitones above the root.
MINOR_SCALE = np.array([0, 2, 3, 5, 7, 8, 10])
MAJOR_SCALE = np.array([0, 2, 4, 5, 7, 9, 11])


def voice(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises an adult who speaks, pitch 85 to 240 Hz, 3.5 to 6 syllables a second."""
    pitch_hz = np.exp(rng.uniform(np.log(85), np.log(240)))
    # Higher voices have shorter vocal tracts, so higher formants.
    formant_scale = 1 + 0.17 * np.clip((pitch_hz - 110) / 100, 0, 1)
    speaker = _Speaker(
        pitch_hz=pitch_hz,
        formant_scale=formant_scale,
        syllables_per_s=rng.uniform(3.5, 6),
        consonant_probability=0.5,
        shortest_pause_s=0.15,
    )
    return _speech(rng, sample_rate_hz, seconds, speaker)


def child_shout(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises a child who calls: high, long, gliding vowels."""
    speaker = _Speaker(
        pitch_hz=rng.uniform(330, 620),
        formant_scale=rng.uniform(1.3, 1.45),
        syllables_per_s=rng.uniform(1.8, 3.2),
        consonant_probability=0.3,
        shortest_pause_s=0.25,
    )
    return _speech(rng, sample_rate_hz, seconds, speaker)


def footsteps(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises one walker: heel and ball of each foot, on one floor."""
    out = silence(sample_rate_hz, seconds)
    interval_s = 1 / rng.uniform(1.5, 2.3)
    bright_hz = rng.uniform(900, 3500)
    is_gravel = rng.random() < 0.3
    if is_gravel:
        scrape_decay_s = 0.045
        scrape_gain = 0.6
    else:
        scrape_decay_s = 0.012
        scrape_gain = 0.3
    at_s = rng.uniform(0.02, 0.12)
    while at_s < seconds:
        weight = rng.uniform(0.7, 1.1)
        dull_heel = noise_burst(rng, sample_rate_hz, 90, 400, 0.018)
        add_at(out, at_s, sample_rate_hz, dull_heel, 0.7 * weight)
        bright_heel = noise_burst(rng, sample_rate_hz, bright_hz, 2.5 * bright_hz, 0.007)
        add_at(out, at_s, sample_rate_hz, bright_heel, weight)
        scrape = noise_burst(rng, sample_rate_hz, 1500, 6000, scrape_decay_s)
        ball_s = at_s + rng.uniform(0.06, 0.1)
        add_at(out, ball_s, sample_rate_hz, scrape, scrape_gain * weight)
        at_s += interval_s * rng.uniform(0.94, 1.06)
    return out


def announcement(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises a gong of two to four notes, then a voice from a horn loudspeaker.

    The voice comes again, later and weaker, from the next loudspeaker.
    """
    out = silence(sample_rate_hz, seconds)
    root_hz = rng.uniform(380, 620)
    step_s = rng.uniform(0.28, 0.45)
    most_notes = 3 if seconds < 2.5 else 4
    ratios = rng.permutation([1.0, 1.25, 1.5, 1.0 / 1.189])
    melody = ratios[: rng.integers(2, most_notes + 1)]
    for number, ratio in enumerate(melody):
        partials_hz = root_hz * ratio * np.array([1, 2, 3.01])
        gong = struck_body(sample_rate_hz, 1.2, partials_hz, (1, 0.35, 0.12), (0.45, 0.25, 0.12))
        add_at(out, number * step_s, sample_rate_hz, gong, 1.6)
    start_s = min(len(melody) * step_s + 0.25, 0.55 * seconds)
    speech = voice(rng, sample_rate_hz, max(0.3, seconds - start_s))
    # The amplifier overdrives, and the horn passes only middle frequencies.
    overdriven = np.tanh(1.5 * band_pass(speech, sample_rate_hz, 350, 3200))
    speech = band_pass(overdriven, sample_rate_hz, 400, 3400)
    add_at(out, start_s, sample_rate_hz, speech, 1.6)
    add_at(out, start_s + rng.uniform(0.09, 0.2), sample_rate_hz, speech, 0.7)
    return out


def music(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises chords, bass and a beat from small loudspeakers or a busker's amplifier."""
    out = silence(sample_rate_hz, seconds)
    beat_s = 60 / rng.uniform(84, 138)
    root_hz = rng.uniform(180, 320)
    scale = MINOR_SCALE if rng.random() < 0.5 else MAJOR_SCALE
    harmonics = 1.0 / np.arange(1, 7) ** rng.uniform(1.0, 2.0)
    degree = 0
    decay_s = rng.uniform(0.25, 0.9)
    t = time_axis(sample_rate_hz, min(beat_s * 1.5, seconds))
    note_envelope_end = np.minimum(1, t / 0.006)
    for number in range(int(seconds / beat_s * 2) + 1):
        at_s = number * beat_s / 2
        if number % 4 == 0:
            # A chord on a new degree of the scale.
            degree = int(rng.choice([0, 3, 4, 5]))
            notes = [degree, degree + 2, degree + 4]
        else:
            # One note of the chord, sometimes an octave (seven degrees) higher.
            above = 7 if rng.random() < 0.3 else 0
            degree_of_chord = (0, 2, 4)[number % 3]
            notes = [degree + degree_of_chord + above]
        for note in notes:
            semitones = scale[note % 7] + 12 * (note // 7)
            pitch_hz = root_hz * 2 ** (semitones / 12)
            tone = constant_tone(pitch_hz, sample_rate_hz, len(t), harmonics)
            add_at(out, at_s, sample_rate_hz, tone * np.exp(-t / decay_s) * note_envelope_end)
        if number % 2 == 0:
            bass_hz = root_hz / 2 * 2 ** (scale[degree % 7] / 12)
            bass = constant_tone(bass_hz, sample_rate_hz, len(t), (1, 0.4, 0.2)) * np.exp(-t / 0.4)
            add_at(out, at_s, sample_rate_hz, bass, 1.2)
        hi_hat = noise_burst(rng, sample_rate_hz, 5000, 11000, 0.012)
        is_off_beat = number % 2 == 1
        add_at(out, at_s, sample_rate_hz, hi_hat, 0.25 if is_off_beat else 0.12)
    return band_pass(out, sample_rate_hz, 120, rng.uniform(5000, 12000))


def cutlery(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises plates, cups and forks: clusters of short inharmonic rings."""
    out = silence(sample_rate_hz, seconds)
    partials = 5
    at_s = rng.uniform(0, 0.15)
    while at_s < seconds:
        for _ in range(rng.integers(1, 5)):
            lowest_hz = rng.uniform(1500, 5200)
            ratios = rng.uniform(1.15, 1.6, partials - 1)
            partials_hz = lowest_hz * np.cumprod(np.r_[1, ratios])
            decays_s = rng.uniform(0.015, 0.12) * np.linspace(1, 0.4, partials)
            amplitudes = rng.uniform(0.3, 1, partials)
            ring = struck_body(sample_rate_hz, 0.35, partials_hz, amplitudes, decays_s)
            add_at(out, at_s, sample_rate_hz, ring, rng.uniform(0.3, 1))
            add_at(
                out, at_s, sample_rate_hz, noise_burst(rng, sample_rate_hz, 2500, 9000, 0.004), 0.12
            )
            at_s += rng.uniform(0.04, 0.16)
        at_s += rng.exponential(0.35)
    return out


def trolley(rng: np.random.Generator, sample_rate_hz: int, seconds: float) -> np.ndarray:
    """Synthesises suitcase wheels: a rolling rattle, and a double click at each joint of tiles."""
    t = time_axis(sample_rate_hz, seconds)
    turns_per_s = rng.uniform(18, 34)
    joints_per_s = rng.uniform(3, 7)
    low_hz = rng.uniform(180, 350)
    high_hz = rng.uniform(1400, 2600)
    rolling = band_noise(rng, sample_rate_hz, len(t), low_hz, high_hz)
    rattle = 1 + 0.5 * np.sin(2 * np.pi * turns_per_s * t)
    rolling *= rattle * random_curve(rng, len(t), 0.7, 1.1, 6)
    out = 2.0 * rolling * fades(len(t), 0.2, 0.2)
    at_s = rng.uniform(0, 0.2)
    click = noise_burst(rng, sample_rate_hz, 700, 4500, 0.008)
    while at_s < seconds:
        add_at(out, at_s, sample_rate_hz, click, 1.4 * rng.uniform(0.7, 1.1))
        # The second wheel.
        add_at(out, at_s + 0.12 / joints_per_s, sample_rate_hz, click, 0.9)
        at_s += rng.uniform(0.93, 1.07) / joints_per_s
    return out


@dataclasses.dataclass(frozen=True)
class _Speaker:
    """A person's way of speaking.

    Attributes:
      pitch_hz: Mean pitch.
      formant_scale: Formants relative to those of an adult male.
      syllables_per_s: Mean number of syllables a second.
      consonant_probability: Probability that a syllable begins with a consonant.
      shortest_pause_s: Shortest pause between phrases; the longest is three times as long.
    """

    pitch_hz: float
    formant_scale: float
    syllables_per_s: float
    consonant_probability: float
    shortest_pause_s: float


def _speech(
    rng: np.random.Generator, sample_rate_hz: int, seconds: float, speaker: _Speaker
) -> np.ndarray:
    """Synthesises phrases of syllables.

    A syllable is a vowel, which is a pulse train through formants, and sometimes a noise burst as
    its consonant.
    """
    out = silence(sample_rate_hz, seconds)
    at_s = 0.0
    phrase_end_s = rng.uniform(0.8, 1.8)
    while at_s < seconds - 0.08:
        length_s = rng.uniform(0.65, 1.3) / speaker.syllables_per_s
        add_at(out, at_s, sample_rate_hz, _vowel(rng, sample_rate_hz, at_s, length_s, speaker))
        if rng.random() < speaker.consonant_probability:
            low_hz = rng.uniform(1800, 4500)
            consonant = noise_burst(
                rng, sample_rate_hz, low_hz, 2 * low_hz, rng.uniform(0.008, 0.03)
            )
            add_at(out, at_s, sample_rate_hz, consonant, rng.uniform(0.1, 0.3))
        at_s += length_s
        if at_s > phrase_end_s:
            at_s += rng.uniform(speaker.shortest_pause_s, 3 * speaker.shortest_pause_s)
            phrase_end_s = at_s + rng.uniform(0.8, 1.8)
    return out


def _vowel(
    rng: np.random.Generator, sample_rate_hz: int, at_s: float, length_s: float, speaker: _Speaker
) -> np.ndarray:
    """Synthesises a random vowel of unit power."""
    t = time_axis(sample_rate_hz, length_s)
    # Pitch falls over about two seconds, and bends within each syllable.
    fall = 1.12 - 0.25 * (at_s % 1.8) / 1.8
    bend = np.interp(t, [0, length_s / 2, length_s], rng.uniform(0.88, 1.15, 3))
    voiced = pulse_train(speaker.pitch_hz * fall * bend, sample_rate_hz, rng, 0.08)
    glottis = voiced + 0.004 * rng.standard_normal(len(t))
    vowel_formants_hz = np.array(VOWEL_FORMANTS_HZ[rng.integers(len(VOWEL_FORMANTS_HZ))])
    formants_hz = speaker.formant_scale * vowel_formants_hz * rng.uniform(0.95, 1.05, 4)
    vowel = resonate(
        glottis, sample_rate_hz, formants_hz, (80, 100, 140, 200), (1.0, 0.7, 0.35, 0.2)
    )
    rise = rng.uniform(0.1, 0.25)
    fall_share = rng.uniform(0.2, 0.45)
    vowel *= fades(len(t), rise, fall_share) * rng.uniform(0.6, 1.2)
    return unit_power(vowel)

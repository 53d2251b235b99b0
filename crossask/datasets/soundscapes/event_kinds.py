"""The kinds of acoustic events that scenes consist of: one table with sound, length and level."""

import dataclasses
from collections.abc import Callable

import numpy as np

from crossask.datasets.soundscapes import nature, people, transport


@dataclasses.dataclass(frozen=True)
class EventKind:
    """A kind of event.

    Attributes:
      synthesise: Function (rng, sample rate in Hz, seconds) -> mono waveform [samples] of arbitrary
        level.
      seconds: Shortest and longest duration.
      level_db: Level at 4 m relative to the part of the background above 300 Hz.
      metres: Shortest and longest distance.
      moves: Whether its direction changes during the event.
      is_device: Whether it is a fixed machine, which sounds the same each time at one location.
    """

    synthesise: Callable[[np.random.Generator, int, float], np.ndarray]
    seconds: tuple[float, float]
    level_db: float
    metres: tuple[float, float]
    moves: bool = False
    is_device: bool = False


KINDS = {
    "announcement": EventKind(people.announcement, (2.2, 3.6), 13, (3, 12)),
    "bicycle_bell": EventKind(transport.bicycle_bell, (0.8, 1.6), 14, (2, 12), moves=True),
    "birds": EventKind(nature.birds, (1.0, 2.8), 13, (3, 15)),
    "brake_squeal": EventKind(transport.brake_squeal, (1.0, 2.6), 13, (3, 12)),
    "child_shout": EventKind(people.child_shout, (0.9, 2.4), 14, (2, 14)),
    "cutlery": EventKind(people.cutlery, (1.0, 2.6), 13, (1.5, 8)),
    "diesel_idle": EventKind(transport.diesel_idle, (2.2, 3.8), 15, (3, 9)),
    "dog_bark": EventKind(nature.dog_bark, (0.6, 2.0), 16, (3, 15)),
    "door_chime": EventKind(transport.door_chime, (0.9, 1.7), 13, (1.5, 8), is_device=True),
    "door_hiss": EventKind(transport.door_hiss, (0.9, 1.7), 14, (1.5, 7)),
    "engine_pass": EventKind(transport.engine_pass, (2.0, 3.6), 16, (3, 12), moves=True),
    "footsteps": EventKind(people.footsteps, (1.6, 3.2), 15, (1, 6), moves=True),
    "fountain": EventKind(nature.fountain, (2.2, 3.8), 11, (3, 12)),
    "horn": EventKind(transport.horn, (0.4, 1.5), 16, (5, 20), moves=True),
    "jet": EventKind(transport.jet, (2.6, 3.8), 14, (4, 12), moves=True),
    "music": EventKind(people.music, (2.2, 3.8), 12, (3, 12)),
    "rail_clatter": EventKind(transport.rail_clatter, (2.0, 3.6), 15, (2, 8)),
    "rain": EventKind(nature.rain, (2.2, 3.8), 11, (2, 6)),
    "siren": EventKind(transport.siren, (2.0, 3.6), 15, (6, 25), moves=True),
    "stop_bell": EventKind(transport.stop_bell, (0.8, 1.2), 14, (1.5, 6), is_device=True),
    "tram_bell": EventKind(transport.tram_bell, (0.8, 1.8), 15, (3, 14), is_device=True),
    "trolley": EventKind(people.trolley, (1.8, 3.4), 13, (1.5, 7), moves=True),
    "turnstile_beep": EventKind(transport.turnstile_beep, (0.5, 1.3), 13, (1.5, 9), is_device=True),
    "voice": EventKind(people.voice, (1.4, 3.2), 14, (1, 7)),
    "wind": EventKind(nature.wind, (2.0, 3.6), 13, (1.5, 5)),
}
EVENT_KINDS = tuple(KINDS)


def synthesise(
    kind: str, rng: np.random.Generator, sample_rate_hz: int, seconds: float
) -> np.ndarray:
    """Synthesises an event of unit level.

    Args:
      kind: One of `EVENT_KINDS`.
      rng: Random numbers for its details.
      sample_rate_hz: Sample rate in Hz.
      seconds: Length of the event.

    Returns:
      Waveform, float64 [samples], with a faded end. The louder third of its frames of 20 ms has RMS
      1, so that pauses within an event do not change its level.

    Raises:
      KeyError: There is no such kind.
    """
    wave = KINDS[kind].synthesise(rng, sample_rate_hz, seconds)
    fade = min(len(wave) // 4, round(0.01 * sample_rate_hz))
    if fade > 0:
        wave[-fade:] *= np.linspace(1, 0, fade)
    frame = max(1, round(0.02 * sample_rate_hz))
    missing = -len(wave) % frame
    frames = np.pad(wave, (0, missing)).reshape(-1, frame)
    power = np.sort(np.mean(frames**2, axis=1))[::-1]
    loudest = power[: max(1, len(power) // 3)]
    return wave / (np.sqrt(np.mean(loudest)) + 1e-12)

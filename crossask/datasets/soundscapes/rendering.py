"""Rendering: scene clips, and isolated events to pre-train event models on.

The functions depend on their arguments alone.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from crossask.datasets.soundscapes import (
    acoustics,
    backgrounds,
    composition,
    event_kinds,
    scenes,
)
from crossask.datasets.soundscapes.composition import ClipKey, Location, PlacedEvent, random_stream
from crossask.errors import ConfigError

# Amplitudes above the first are compressed by a tanh, so that none is above the second.
LINEAR_AMPLITUDE = 0.7
HIGHEST_AMPLITUDE = 0.999


def render_scene_clip(
    key: ClipKey, seconds: float = 10.0, sample_rate_hz: int = 48000
) -> tuple[np.ndarray, tuple[PlacedEvent, ...]]:
    """Renders a binaural recording of a scene.

    Args:
      key: The clip.
      seconds: Length of the recording.
      sample_rate_hz: Sample rate in Hz. Another rate gives another recording of the same events.

    Returns:
      Waveform, float32 [samples, 2] inside -1..1, and its events, sorted by onset.

    Raises:
      ConfigError: There is no such scene.
    """
    if key.scene not in scenes.KINDS:
        raise ConfigError(
            f"There is no scene {key.scene!r}.", f"Use one of: {', '.join(scenes.SCENES)}."
        )
    location = composition.location_at(key.seed, key.scene, key.city, key.location_number)
    events = composition.plan_clip(key, seconds)
    rng = random_stream("soundscapes bed", *dataclasses.astuple(key))
    return _mix(rng, location, events, seconds, sample_rate_hz), events


def render_event(
    seed: int,
    index: int,
    kinds: Sequence[str] | None = None,
    seconds: float = 2.9,
    sample_rate_hz: int = 48000,
) -> tuple[np.ndarray, str]:
    """Renders an isolated event with a room and a background of its own.

    It uses a random stream that no scene uses.

    Args:
      seed: Seed of all events.
      index: Number of the event. Its kind is kinds[index % len(kinds)], so that len(kinds)
        consecutive events contain each kind once.
      kinds: Kinds of event; None is all.
      seconds: Length of the recording; the default has three patches of 0.96 s.
      sample_rate_hz: Sample rate in Hz.

    Returns:
      Waveform, float32 [samples, 2] inside -1..1, and the kind of the event.

    Raises:
      ConfigError: There is no such kind.
    """
    kinds = kinds or event_kinds.EVENT_KINDS
    kind = kinds[index % len(kinds)]
    if kind not in event_kinds.KINDS:
        raise ConfigError(
            f"There is no event kind {kind!r}.",
            f"Use some of: {', '.join(event_kinds.EVENT_KINDS)}.",
        )
    location, event = event_setting(seed, index, kind, seconds)
    rng = random_stream("isolated event bed", seed, index)
    return _mix(rng, location, (event,), seconds, sample_rate_hz), kind


def event_setting(seed: int, index: int, kind: str, seconds: float) -> tuple[Location, PlacedEvent]:
    """Draws the location of an isolated event, and its onset, length, level and direction.

    The location is of any family, whatever the kind of the event. The level is 3 to 26 dB above the
    background (see `PlacedEvent.level_db`). This range is wider than in the scenes, because a
    tagger should learn the sound of an event and not its level.
    """
    rng = random_stream("isolated event", seed, index, kind)
    family = str(rng.choice(sorted(backgrounds.FAMILIES)))
    room = acoustics.draw_room(rng, family)
    background = backgrounds.draw_background(rng, family)
    event = composition.draw_event(rng, kind, None, seconds)
    event = dataclasses.replace(event, level_db=float(rng.uniform(3, 26)))
    gain_db = float(rng.uniform(-8, 8))
    return Location(room, background, gain_db), event


def limit(wave: np.ndarray) -> np.ndarray:
    """Compresses amplitudes above 0.7 smoothly to at most 0.999 (soft clipping by a tanh).

    Amplitudes up to 0.7 are not changed.
    """
    is_over = np.abs(wave) > LINEAR_AMPLITUDE
    if not is_over.any():
        return wave
    headroom = HIGHEST_AMPLITUDE - LINEAR_AMPLITUDE
    loud = wave[is_over]
    excess = headroom * np.tanh((np.abs(loud) - LINEAR_AMPLITUDE) / headroom)
    limited = wave.copy()
    limited[is_over] = np.sign(loud) * (LINEAR_AMPLITUDE + excess)
    return limited


def _mix(
    rng: np.random.Generator,
    location: Location,
    events: Sequence[PlacedEvent],
    seconds: float,
    sample_rate_hz: int,
) -> np.ndarray:
    """Renders background, events and reverberation, float32 [samples, 2].

    Args:
      rng: Random numbers for the background.
      location: The location.
      events: The events.
      seconds: Length.
      sample_rate_hz: Sample rate in Hz.
    """
    samples = round(seconds * sample_rate_hz)
    mix = backgrounds.render_background(rng, location.background, sample_rate_hz, samples)  # [2, n]
    # All sources share the late field, so it is computed once, from their weighted sum.
    send = np.zeros(samples, np.float32)
    for event in events:
        wave = _event_wave(event, location, sample_rate_hz)
        start = round(event.onset_s * sample_rate_hz)
        ears = acoustics.binaural(
            wave,
            sample_rate_hz,
            location.room,
            event.metres,
            event.start_azimuth,
            event.end_azimuth,
        )
        # What sounds after the end of the recording (echoes, the end of the event) is cut.
        inside = min(ears.shape[1], samples - start)
        mix[:, start : start + inside] += ears[:, :inside]
        wave = wave[: samples - start]
        send_gain = np.float32(acoustics.late_field_gain(location.room, event.metres))
        send[start : start + len(wave)] += send_gain * wave
    mix += acoustics.reverberate(send, sample_rate_hz, location.room)
    mix *= np.float32(10 ** (location.gain_db / 20))
    # soundfile writes [samples, channels].
    return np.ascontiguousarray(limit(mix).T)


def _event_wave(event: PlacedEvent, location: Location, sample_rate_hz: int) -> np.ndarray:
    """Synthesises an event at its level, float32 [samples]."""
    # A machine that belongs to a location sounds the same in all of its clips.
    is_device = event_kinds.KINDS[event.kind].is_device
    if is_device and location.device_seed is not None:
        rng = random_stream("device", location.device_seed, event.kind)
    else:
        rng = random_stream("event", event.seed)
    wave = event_kinds.synthesise(event.kind, rng, sample_rate_hz, event.seconds)
    gain_db = location.background.level_db + event.level_db
    return (wave * 10 ** (gain_db / 20)).astype(np.float32)

"""From a plan to sound: scene clips, and isolated events for event pre-training. Pure functions of their arguments."""

import dataclasses

import numpy as np

from crossask.datasets.soundscapes import backgrounds, events, scenes, spaces
from crossask.errors import ConfigError

LIMIT = 0.7  # amplitudes above bend towards 1


def render_scene_clip(
    seed: int,
    scene: str,
    city: str,
    location_number: int,
    clip_number: int,
    seconds: float = 10.0,
    sample_rate_hz: int = 48000,
) -> tuple[np.ndarray, list[tuple[float, float, str]]]:
    """A binaural recording of a scene.

    Args:
      seed: of the whole corpus, at least 0. City and location number name the place; all its clips share room, bed,
        gain and habits. Other rates than 48 kHz give another recording of the same plan.

    Returns:
      (waveform float32 [samples, 2] within -1..1, events as (onset_s, offset_s, kind) by onset)

    Raises:
      ConfigError: no such scene.
    """
    if scene not in scenes.SCENES:
        raise ConfigError(
            f"There is no scene {scene!r}.", f"Use one of: {', '.join(scenes.SCENES)}."
        )
    location = scenes.location_at(seed, scene, city, location_number)
    plan = scenes.plan_clip(seed, scene, city, location_number, clip_number, seconds)
    rng = scenes.generator("soundscapes bed", seed, scene, city, location_number, clip_number)
    wave = _mix(
        rng,
        location.bed,
        location.room,
        plan,
        seconds,
        sample_rate_hz,
        location.gain_db,
        location.device_seed,
    )
    return wave, [(event.onset_s, event.onset_s + event.seconds, event.kind) for event in plan]


def render_event(
    seed: int,
    index: int,
    kinds: tuple[str, ...] | None = None,
    seconds: float = 2.9,
    sample_rate_hz: int = 48000,
) -> tuple[np.ndarray, str]:
    """An isolated event in a room and over a bed of its own, from a stream that no scene draws from.

    Args:
      index: number of the event; `kinds` (default: all) take turns, so any run of len(kinds) indices is balanced.
      seconds: length of the clip; the default holds three patches of 0.96 s.

    Returns:
      (waveform float32 [samples, 2] within -1..1, kind)

    Raises:
      ConfigError: no such kind.
    """
    kinds = kinds or events.EVENT_KINDS
    kind = kinds[index % len(kinds)]
    if kind not in events.KINDS:
        raise ConfigError(
            f"There is no event kind {kind!r}.", f"Use some of: {', '.join(events.EVENT_KINDS)}."
        )
    room, bed, event, gain_db = event_setting(seed, index, kind, seconds)
    rng = scenes.generator("isolated event bed", seed, index)
    return _mix(rng, bed, room, (event,), seconds, sample_rate_hz, gain_db, None), kind


def event_setting(seed: int, index: int, kind: str, seconds: float):
    """(room, bed, placement, gain in dB) of an isolated event; any family of places, whatever the kind."""
    rng = scenes.generator("isolated event", seed, index, kind)
    family = str(rng.choice(sorted(spaces.ROOM_RANGES)))
    room, bed = spaces.draw_room(rng, family), backgrounds.draw_bed(rng, family)
    event = scenes.draw_placement(rng, kind, None, seconds)
    # from the edge of hearing to alone: wider than in the scenes, so that a tagger learns the sound and not its level
    return (
        room,
        bed,
        dataclasses.replace(event, level_db=float(rng.uniform(3, 26))),
        float(rng.uniform(-8, 8)),
    )


def _mix(rng, bed, room, plan, seconds, sample_rate_hz, gain_db, device_seed) -> np.ndarray:
    samples = round(seconds * sample_rate_hz)
    mix = backgrounds.render_bed(rng, bed, sample_rate_hz, samples)
    send = np.zeros(samples, np.float32)
    for event in plan:
        entry = events.KINDS[event.kind]
        voice_seed = (
            ("device", device_seed, event.kind)
            if entry.device and device_seed is not None
            else ("event", event.seed)
        )
        wave = events.synthesise(
            event.kind, scenes.generator(*voice_seed), sample_rate_hz, event.seconds
        )
        wave = (wave * 10 ** ((bed.level_db + event.level_db) / 20)).astype(np.float32)
        start = round(event.onset_s * sample_rate_hz)
        ears = spaces.binaural(
            wave, sample_rate_hz, room, event.metres, event.start_azimuth, event.end_azimuth
        )
        heard = min(ears.shape[1], samples - start)
        mix[:, start : start + heard] += ears[:, :heard]
        wave = wave[: samples - start]
        send[start : start + len(wave)] += (
            np.float32(spaces.late_field_gain(room, event.metres)) * wave
        )
    mix += spaces.reverberate(send, sample_rate_hz, room)
    mix *= np.float32(10 ** (gain_db / 20))
    return np.ascontiguousarray(limit(mix).T)


def limit(wave: np.ndarray) -> np.ndarray:
    """Leaves amplitudes up to 0.7 alone and bends larger ones smoothly below 1, which levels then still tell apart."""
    over = np.abs(wave) > LIMIT
    if over.any():
        room, loud = 0.999 - LIMIT, wave[over]
        wave = wave.copy()
        wave[over] = np.sign(loud) * (LIMIT + room * np.tanh((np.abs(loud) - LIMIT) / room))
    return wave

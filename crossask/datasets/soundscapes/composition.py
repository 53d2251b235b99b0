"""The composition of a clip: its location, and which events happen when and where.

Nothing here renders sound. Every draw comes from a random stream of its own key, so a clip does not
depend on the other clips of the corpus.
"""

import dataclasses
import functools
import zlib

import numpy as np

from crossask.datasets.soundscapes import acoustics, backgrounds, event_kinds, scenes

# A change of the draws or of the synthesis is a new version.
GENERATOR_VERSION = "1"

# Events in 10 s.
FEWEST_EVENTS = 4
MOST_EVENTS = 10


@dataclasses.dataclass(frozen=True)
class ClipKey:
    """What identifies a generated clip: equal keys give equal recordings.

    Attributes:
      seed: Seed of the whole corpus, at least 0.
      scene: Name of the scene.
      city: Name of the city.
      location_number: Number of the location. All clips of a location share room, background,
        recorder and habits.
      clip_number: Number of the clip at its location.
    """

    seed: int
    scene: str
    city: str
    location_number: int
    clip_number: int


@dataclasses.dataclass(frozen=True)
class Location:
    """What is the same in all clips of a place.

    Attributes:
      room: Its acoustics.
      background: Its background.
      gain_db: Gain of the recorder.
      habits: (kind of event, weight) of its events.
      events_per_10_s: Mean number of events in 10 s.
      device_seed: Seed of the sounds of its machines; None if they differ each time.
    """

    room: acoustics.Room
    background: backgrounds.Background
    gain_db: float
    habits: tuple[tuple[str, float], ...] = ()
    events_per_10_s: float = 0.0
    device_seed: int | None = None


@dataclasses.dataclass(frozen=True)
class PlacedEvent:
    """One event of a clip.

    Attributes:
      kind: Kind of the event.
      onset_s: Start in the clip.
      seconds: Duration.
      level_db: Level at 4 m relative to the part of the background above 300 Hz.
      metres: Distance.
      start_azimuth: Direction at the start in radians, 0 is ahead, pi/2 is right.
      end_azimuth: Direction at the end.
      seed: Seed of its sound.
    """

    kind: str
    onset_s: float
    seconds: float
    level_db: float
    metres: float
    start_azimuth: float
    end_azimuth: float
    seed: int

    @property
    def offset_s(self) -> float:
        """End in the clip."""
        return self.onset_s + self.seconds


def random_stream(*key: int | str) -> np.random.Generator:
    """Returns a random generator that is the same for a key on every machine."""
    words = []
    for part in key:
        if isinstance(part, str):
            words.append(zlib.crc32(part.encode()))
        else:
            words.append(int(part))
    return np.random.default_rng(np.random.SeedSequence(words))


@functools.lru_cache(maxsize=1024)
def location_at(seed: int, scene: str, city: str, number: int) -> Location:
    """Draws a location of a scene.

    Some of the scene's kinds of event never happen there, and others more or less often than
    elsewhere.
    """
    rng = random_stream("soundscapes location", seed, scene, city, number)
    scene_kind = scenes.KINDS[scene]
    habits = _draw_habits(rng, scene_kind)
    room = acoustics.draw_room(rng, scene_kind.family)
    background = backgrounds.draw_background(rng, scene_kind.family)
    events_per_10_s = float(rng.uniform(5.0, 7.5))
    gain_db = float(rng.uniform(-6, 6))
    device_seed = int(rng.integers(2**31))
    return Location(room, background, gain_db, habits, events_per_10_s, device_seed)


@functools.lru_cache(maxsize=1024)
def plan_clip(key: ClipKey, seconds: float) -> tuple[PlacedEvent, ...]:
    """Draws the events of a clip: its phrases first, then kinds by the habits of the location.

    Returns:
      The events by onset.
    """
    location = location_at(key.seed, key.scene, key.city, key.location_number)
    rng = random_stream("soundscapes clip", *dataclasses.astuple(key))
    tens_of_seconds = seconds / 10
    events_in_10_s = np.clip(rng.poisson(location.events_per_10_s), FEWEST_EVENTS, MOST_EVENTS)
    count = round(events_in_10_s * tens_of_seconds)
    kinds = [kind for kind, _ in location.habits]
    weights = np.array([weight for _, weight in location.habits])
    events = []
    for phrase in scenes.KINDS[key.scene].phrases:
        is_drawn = rng.random() < phrase.probability * min(1, tens_of_seconds)
        is_within_count = len(events) + len(phrase.kinds) <= count
        if is_drawn and is_within_count and set(phrase.kinds) <= set(kinds):
            events += _draw_phrase(rng, phrase, seconds)
    missing = max(1, count) - len(events)
    if missing > 0:
        for kind in rng.choice(kinds, missing, p=weights / weights.sum()):
            events.append(draw_event(rng, str(kind), None, seconds))
    return tuple(sorted(events, key=lambda event: event.onset_s))


def draw_event(
    rng: np.random.Generator, kind: str, onset_s: float | None, clip_seconds: float
) -> PlacedEvent:
    """Draws an event of a kind.

    Args:
      rng: Random numbers; the order of the draws is part of the corpus.
      kind: Kind of the event.
      onset_s: Its start; None is anywhere in the clip.
      clip_seconds: Length of the clip; the event ends with it at the latest.
    """
    ranges = event_kinds.KINDS[kind]
    seconds = min(rng.uniform(*ranges.seconds), 0.8 * clip_seconds)
    drawn_onset_s = rng.uniform(0, clip_seconds - min(seconds, 1.5))
    if onset_s is None:
        onset_s = drawn_onset_s
    # At least half a second of a longer event is inside the clip.
    onset_s = min(onset_s, clip_seconds - min(seconds, 0.5))
    start_azimuth = rng.uniform(-np.pi, np.pi)
    sweep = 0.0
    if ranges.moves:
        sweep = rng.choice([-1, 1]) * rng.uniform(0.3, 2.0)
    return PlacedEvent(
        kind=kind,
        onset_s=float(onset_s),
        seconds=float(min(seconds, clip_seconds - onset_s)),
        level_db=float(ranges.level_db + rng.uniform(-5, 5)),
        metres=float(np.exp(rng.uniform(*np.log(ranges.metres)))),
        start_azimuth=float(start_azimuth),
        end_azimuth=float(start_azimuth + sweep),
        seed=int(rng.integers(2**31)),
    )


def _draw_habits(
    rng: np.random.Generator, scene_kind: scenes.SceneKind
) -> tuple[tuple[str, float], ...]:
    """Draws which kinds of event happen at a location, and with which weights."""
    weights = scene_kind.weights
    kinds = sorted(weights)
    # The two most frequent kinds happen at every location of the scene: without them, it would be
    # another scene.
    frequent = sorted(kinds, key=lambda kind: -weights[kind])[:2]
    habits = []
    for kind in kinds:
        is_absent = rng.random() < 0.25
        factor = np.exp(rng.normal(0, 0.45))
        if kind in frequent or not is_absent:
            habits.append((kind, float(weights[kind] * factor)))
    return tuple(habits)


def _draw_phrase(
    rng: np.random.Generator, phrase: scenes.Phrase, clip_seconds: float
) -> list[PlacedEvent]:
    events = []
    onset_s = rng.uniform(0, 0.4 * clip_seconds)
    for kind in phrase.kinds:
        event = draw_event(rng, kind, onset_s, clip_seconds)
        events.append(event)
        onset_s = event.onset_s + event.seconds * rng.uniform(0.6, 1.0)
    return events

"""The grammar of scenes: which kinds of event a scene has, how often, in what order, and how its places differ."""

import dataclasses
import functools
import zlib

import numpy as np

from crossask.datasets.soundscapes import backgrounds, events, spaces

GENERATOR_VERSION = "1"

# Weights by which a clip's events are drawn. No kind belongs to one scene alone: the mixture tells the scene.
WEIGHTS = {
    "airport": {
        "announcement": 2.0,
        "trolley": 2.6,
        "jet": 1.6,
        "voice": 1.0,
        "footsteps": 1.0,
        "child_shout": 0.3,
        "turnstile_beep": 0.4,
        "cutlery": 0.3,
        "door_hiss": 0.2,
        "music": 0.15,
    },
    "bus": {
        "diesel_idle": 2.4,
        "stop_bell": 1.8,
        "door_hiss": 1.5,
        "voice": 0.9,
        "horn": 0.5,
        "turnstile_beep": 0.4,
        "brake_squeal": 0.3,
        "engine_pass": 0.6,
        "announcement": 0.2,
        "child_shout": 0.2,
    },
    "metro": {
        "rail_clatter": 2.6,
        "door_chime": 2.0,
        "announcement": 0.9,
        "brake_squeal": 0.6,
        "door_hiss": 0.8,
        "voice": 0.8,
        "wind": 0.7,
        "music": 0.15,
        "child_shout": 0.15,
    },
    "metro_station": {
        "turnstile_beep": 2.0,
        "rail_clatter": 1.5,
        "brake_squeal": 1.2,
        "announcement": 0.8,
        "footsteps": 1.8,
        "door_chime": 0.6,
        "door_hiss": 0.5,
        "voice": 0.6,
        "music": 0.2,
        "wind": 0.4,
        "trolley": 0.2,
    },
    "park": {
        "birds": 2.6,
        "dog_bark": 1.5,
        "child_shout": 0.9,
        "wind": 1.4,
        "footsteps": 0.6,
        "bicycle_bell": 0.3,
        "voice": 0.4,
        "fountain": 0.2,
        "engine_pass": 0.1,
        "rain": 0.4,
        "jet": 0.3,
    },
    "public_square": {
        "fountain": 2.2,
        "music": 1.0,
        "child_shout": 1.1,
        "voice": 1.2,
        "birds": 0.6,
        "tram_bell": 0.3,
        "cutlery": 0.3,
        "footsteps": 0.6,
        "dog_bark": 0.3,
        "bicycle_bell": 0.3,
        "rain": 0.2,
    },
    "shopping_mall": {
        "music": 2.4,
        "cutlery": 1.6,
        "voice": 1.1,
        "child_shout": 0.8,
        "footsteps": 1.1,
        "turnstile_beep": 0.9,
        "announcement": 0.3,
        "trolley": 0.4,
        "fountain": 0.2,
    },
    "street_pedestrian": {
        "footsteps": 2.6,
        "bicycle_bell": 1.8,
        "voice": 1.8,
        "cutlery": 0.9,
        "music": 0.3,
        "trolley": 0.3,
        "dog_bark": 0.2,
        "child_shout": 0.3,
        "birds": 0.2,
        "engine_pass": 0.2,
        "horn": 0.1,
    },
    "street_traffic": {
        "engine_pass": 2.8,
        "horn": 1.4,
        "siren": 1.1,
        "diesel_idle": 0.6,
        "brake_squeal": 0.5,
        "footsteps": 0.3,
        "voice": 0.2,
        "rain": 0.4,
        "wind": 0.3,
        "bicycle_bell": 0.2,
        "tram_bell": 0.2,
    },
    "tram": {
        "tram_bell": 2.2,
        "brake_squeal": 2.0,
        "rail_clatter": 0.9,
        "stop_bell": 0.8,
        "voice": 0.8,
        "door_hiss": 0.5,
        "turnstile_beep": 0.4,
        "engine_pass": 0.3,
        "announcement": 0.4,
        "siren": 0.1,
    },
}
SCENES = tuple(sorted(WEIGHTS))

# Orders of events, each with the chance that a clip holds it: the next begins as the one before ends
PHRASES = {
    "airport": ((("announcement", "trolley"), 0.2),),
    "bus": ((("stop_bell", "brake_squeal", "door_hiss"), 0.2), (("door_hiss", "diesel_idle"), 0.3)),
    "metro": (
        (("brake_squeal", "door_chime", "door_hiss"), 0.2),
        (("door_chime", "rail_clatter"), 0.3),
    ),
    "metro_station": (
        (("rail_clatter", "brake_squeal", "door_hiss"), 0.3),
        (("turnstile_beep", "footsteps"), 0.3),
    ),
    "park": ((("child_shout", "dog_bark"), 0.2),),
    "public_square": ((("child_shout", "voice"), 0.2),),
    "shopping_mall": ((("turnstile_beep", "voice"), 0.2),),
    "street_pedestrian": ((("bicycle_bell", "footsteps"), 0.3),),
    "street_traffic": ((("brake_squeal", "horn"), 0.25),),
    "tram": ((("tram_bell", "brake_squeal"), 0.3), (("stop_bell", "brake_squeal"), 0.15)),
}
FEWEST, MOST = 4, 10  # events in 10 s


@dataclasses.dataclass(frozen=True)
class Location:
    """What stays the same in all clips of a place. `habits`: (kind, weight) of its events; `gain_db`: recorder's."""

    room: spaces.Room
    bed: backgrounds.Bed
    habits: tuple[tuple[str, float], ...]
    events_per_10_s: float
    gain_db: float
    device_seed: int


@dataclasses.dataclass(frozen=True)
class Placement:
    """One event of a clip: when, where and how loud. Azimuths in radians, 0 ahead, +pi/2 right."""

    kind: str
    onset_s: float
    seconds: float
    level_db: float  # over the bed's part above 300 Hz, at 4 m
    metres: float
    start_azimuth: float
    end_azimuth: float
    seed: int


def generator(*key) -> np.random.Generator:
    """A stream of its own for integers and names: the same on every machine and in every process."""
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else int(part) for part in key]
    return np.random.default_rng(np.random.SeedSequence(words))


@functools.lru_cache(maxsize=1024)
def location_at(seed: int, scene: str, city: str, number: int) -> Location:
    """A place of a scene. Some of the scene's kinds are never heard there, others more or less often than elsewhere."""
    rng = generator("soundscapes location", seed, scene, city, number)
    kinds = sorted(WEIGHTS[scene])
    # the two leading kinds may be rare somewhere but never missing: a place without them would be another scene
    leading = sorted(kinds, key=lambda kind: -WEIGHTS[scene][kind])[:2]
    habits = []
    for kind in kinds:
        absent, factor = rng.random() < 0.25, np.exp(rng.normal(0, 0.45))
        if kind in leading or not absent:
            habits.append((kind, float(WEIGHTS[scene][kind] * factor)))
    family = backgrounds.FAMILIES[scene]
    room, bed = spaces.draw_room(rng, family), backgrounds.draw_bed(rng, family)
    return Location(
        room,
        bed,
        tuple(habits),
        float(rng.uniform(5.0, 7.5)),
        float(rng.uniform(-6, 6)),
        int(rng.integers(2**31)),
    )


def draw_placement(rng, kind: str, onset_s: float | None, clip_seconds: float) -> Placement:
    """A random event of a kind, at `onset_s` or anywhere in the clip; it ends with the clip at the latest."""
    entry = events.KINDS[kind]
    seconds = min(rng.uniform(*entry.seconds), 0.8 * clip_seconds)
    free = rng.uniform(0, clip_seconds - min(seconds, 1.5))
    onset = min(free if onset_s is None else onset_s, clip_seconds - min(seconds, 0.5))
    start = rng.uniform(-np.pi, np.pi)
    sweep = rng.choice([-1, 1]) * rng.uniform(0.3, 2.0) if entry.moves else 0.0
    level = entry.level_db + rng.uniform(-5, 5)
    metres = np.exp(rng.uniform(*np.log(entry.metres)))
    return Placement(
        kind,
        float(onset),
        float(min(seconds, clip_seconds - onset)),
        float(level),
        float(metres),
        float(start),
        float(start + sweep),
        int(rng.integers(2**31)),
    )


@functools.lru_cache(maxsize=1024)
def plan_clip(
    seed: int, scene: str, city: str, number: int, clip_number: int, seconds: float
) -> tuple[Placement, ...]:
    """The events of a clip, by onset: phrases first, then kinds by the location's habits. No sound is made yet."""
    location = location_at(seed, scene, city, number)
    rng = generator("soundscapes clip", seed, scene, city, number, clip_number)
    share = seconds / 10
    count = round(np.clip(rng.poisson(location.events_per_10_s), FEWEST, MOST) * share)
    kinds, weights = (
        [kind for kind, _ in location.habits],
        np.array([weight for _, weight in location.habits]),
    )
    placed = []
    for phrase, chance in PHRASES[scene]:
        heard = rng.random() < chance * min(1, share)
        if heard and len(placed) + len(phrase) <= count and all(kind in kinds for kind in phrase):
            onset = rng.uniform(0, 0.4 * seconds)
            for kind in phrase:
                placed.append(draw_placement(rng, kind, onset, seconds))
                onset = placed[-1].onset_s + placed[-1].seconds * rng.uniform(0.6, 1.0)
    for kind in (
        rng.choice(kinds, max(1, count) - len(placed), p=weights / weights.sum())
        if max(1, count) > len(placed)
        else ()
    ):
        placed.append(draw_placement(rng, str(kind), None, seconds))
    return tuple(sorted(placed, key=lambda event: event.onset_s))

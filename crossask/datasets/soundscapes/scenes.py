"""The scenes: which kinds of event each one has, how often and in which order.

No kind of event belongs to one scene alone; the mixture of events makes the scene.
"""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Phrase:
    """Events that follow each other: the next one begins about when the one before ends.

    Attributes:
      kinds: Kinds of the events, in order.
      probability: Probability that a clip contains the phrase.
    """

    kinds: tuple[str, ...]
    probability: float


@dataclasses.dataclass(frozen=True)
class SceneKind:
    """A scene.

    Attributes:
      family: Family of its backgrounds and rooms, see `backgrounds` and `acoustics`.
      weights: Kind of event -> weight with which the events of a clip are drawn.
      phrases: Phrases of its clips.
    """

    family: str
    weights: Mapping[str, float]
    phrases: tuple[Phrase, ...]


KINDS = {
    "airport": SceneKind(
        "hall",
        {
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
        (Phrase(("announcement", "trolley"), 0.2),),
    ),
    "bus": SceneKind(
        "vehicle",
        {
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
        (
            Phrase(("stop_bell", "brake_squeal", "door_hiss"), 0.2),
            Phrase(("door_hiss", "diesel_idle"), 0.3),
        ),
    ),
    "metro": SceneKind(
        "vehicle",
        {
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
        (
            Phrase(("brake_squeal", "door_chime", "door_hiss"), 0.2),
            Phrase(("door_chime", "rail_clatter"), 0.3),
        ),
    ),
    "metro_station": SceneKind(
        "hall",
        {
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
        (
            Phrase(("rail_clatter", "brake_squeal", "door_hiss"), 0.3),
            Phrase(("turnstile_beep", "footsteps"), 0.3),
        ),
    ),
    "park": SceneKind(
        "open",
        {
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
        (Phrase(("child_shout", "dog_bark"), 0.2),),
    ),
    "public_square": SceneKind(
        "open",
        {
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
        (Phrase(("child_shout", "voice"), 0.2),),
    ),
    "shopping_mall": SceneKind(
        "hall",
        {
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
        (Phrase(("turnstile_beep", "voice"), 0.2),),
    ),
    "street_pedestrian": SceneKind(
        "open",
        {
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
        (Phrase(("bicycle_bell", "footsteps"), 0.3),),
    ),
    "street_traffic": SceneKind(
        "open",
        {
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
        (Phrase(("brake_squeal", "horn"), 0.25),),
    ),
    "tram": SceneKind(
        "vehicle",
        {
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
        (
            Phrase(("tram_bell", "brake_squeal"), 0.3),
            Phrase(("stop_bell", "brake_squeal"), 0.15),
        ),
    ),
}
SCENES = tuple(sorted(KINDS))

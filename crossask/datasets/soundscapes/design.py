"""The design of a generated corpus: its configuration, and the clips that follow from it."""

import dataclasses
from typing import ClassVar

import pydantic
from pydantic.dataclasses import dataclass

from crossask.config.settings import STRICT, Names, Settings, ours
from crossask.datasets.soundscapes import scenes
from crossask.datasets.soundscapes.composition import ClipKey
from crossask.errors import ConfigError


@dataclass(frozen=True, config=STRICT)
class SoundscapesConfig(Settings):
    """The recordings of a corpus. By default 360 clips: each scene has 12 locations of 3 clips."""

    prefix: ClassVar[str] = "soundscapes."

    seed: int = ours(0, "Seed; another seed gives other recordings.", ge=0)
    cities: Names = ours(("barcelona", "helsinki"), "Cities of the training fold.")
    unseen_city: str = ours(
        "milan", "City that is in the evaluation fold only, like Milan in TAU 2019."
    )
    locations_per_scene: int = ours(12, "Locations of each scene.", ge=2)
    clips_per_location: int = ours(3, "Clips of each location.", ge=1)
    evaluation_share: float = ours(
        1 / 3,
        "Share of a scene's locations in the evaluation fold; a third of these locations, at least "
        "one, are in the unseen city.",
        gt=0,
        lt=1,
    )
    clip_seconds: float = ours(10.0, "Length of a clip in seconds.", ge=1)
    sample_rate_hz: int = ours(48000, "Sample rate in Hz.", ge=8000)

    @pydantic.model_validator(mode="after")
    def _has_different_cities(self) -> "SoundscapesConfig":
        names = (*self.cities, self.unseen_city)
        are_different = len(set(names)) == len(names)
        are_names = all(name.isidentifier() for name in names)
        if not (self.cities and are_different and are_names):
            raise ConfigError(
                f"soundscapes.cities and unseen_city are {names}.",
                "Give different names of letters and underscores, at least one city besides the "
                "unseen one.",
            )
        return self


@dataclass(frozen=True, config=STRICT)
class IsolatedEventsConfig(Settings):
    """Recordings of one event each, to pre-train an event model on.

    The default rate is what event models of 16 kHz need, twice over.
    """

    prefix: ClassVar[str] = "isolated_events."

    seed: int = ours(0, "Seed; another seed gives other recordings.", ge=0)
    count: int = ours(1200, "Recordings; the kinds of event take turns.", ge=1)
    seconds: float = ours(2.9, "Length of a recording in seconds.", gt=0)
    sample_rate_hz: int = ours(32000, "Sample rate in Hz.", ge=8000)


@dataclasses.dataclass(frozen=True)
class DesignedClip:
    """A clip of a corpus.

    Attributes:
      key: What to render.
      is_training: Whether it is on the training side of the fold, else on the evaluation side.
    """

    key: ClipKey
    is_training: bool

    @property
    def name(self) -> str:
        """Path below the folder of the corpus, in the form of TAU 2019."""
        key = self.key
        return f"audio/{key.scene}-{key.city}-{key.location_number}-{key.clip_number}-a.wav"


def clips_of(config: SoundscapesConfig) -> list[DesignedClip]:
    """Returns all clips of a corpus, by scene, location and number.

    The last locations of each scene are evaluated, and the last ones of these are in the unseen
    city.
    """
    locations = config.locations_per_scene
    rounded = round(config.evaluation_share * locations)
    evaluated = min(max(1, rounded), locations - 1)
    unseen = max(1, evaluated // 3)
    clips = []
    for scene_index, scene in enumerate(scenes.SCENES):
        for index in range(locations):
            if index >= locations - unseen:
                city = config.unseen_city
            else:
                city = config.cities[index % len(config.cities)]
            # A location's number is unique in the corpus, and does not change if there are more
            # locations.
            number = len(scenes.SCENES) * index + scene_index
            is_training = index < locations - evaluated
            for clip_number in range(config.clips_per_location):
                key = ClipKey(config.seed, scene, city, number, clip_number)
                clips.append(DesignedClip(key, is_training))
    return clips

"""Which clips a corpus of soundscapes holds: their names, places and sides of the fold."""

import dataclasses
from typing import ClassVar

import pydantic
from pydantic.dataclasses import dataclass

from crossask.config.settings import STRICT, Names, Settings, ours
from crossask.datasets.soundscapes import scenes
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


@dataclasses.dataclass(frozen=True)
class PlannedClip:
    """A clip of a corpus, by name; `training` says its side of the fold."""

    name: str
    scene: str
    city: str
    location_number: int
    clip_number: int
    training: bool


def clips_of(config: SoundscapesConfig) -> list[PlannedClip]:
    """All clips by scene, location and number; a location's number is unique in the corpus."""
    locations = config.locations_per_scene
    evaluated = min(max(1, round(config.evaluation_share * locations)), locations - 1)
    unseen = max(1, evaluated // 3)
    clips = []
    for scene_number, scene in enumerate(scenes.SCENES):
        for place in range(locations):
            last = place >= locations - unseen
            city = config.unseen_city if last else config.cities[place % len(config.cities)]
            number = (
                len(scenes.SCENES) * place + scene_number
            )  # more locations leave the others as they are
            for clip in range(config.clips_per_location):
                name = f"audio/{scene}-{city}-{number}-{clip}-a.wav"
                clips.append(
                    PlannedClip(name, scene, city, number, clip, place < locations - evaluated)
                )
    return clips

"""Which clips a corpus of soundscapes holds: their names, places and sides of the fold."""

import dataclasses

from crossask.datasets.soundscapes import scenes
from crossask.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class SoundscapesConfig:
    """Which recordings a corpus holds. The default, 360 clips: a scene has 8 + 4 locations of 3 clips."""

    seed: int = 0
    cities: tuple[str, ...] = ("barcelona", "helsinki")
    unseen_city: str = "milan"  # stands in the evaluation part alone, like Milan in TAU
    locations_per_scene: int = 12
    clips_per_location: int = 3
    evaluation_share: float = 1 / 3  # of a scene's locations; a third of these, at least one, in the unseen city
    clip_seconds: float = 10.0
    sample_rate_hz: int = 48000

    def __post_init__(self):
        limits = {
            "seed": 0,
            "locations_per_scene": 2,
            "clips_per_location": 1,
            "sample_rate_hz": 8000,
            "clip_seconds": 1,
        }
        for field, least in limits.items():
            if getattr(self, field) < least:
                raise ConfigError(f"Soundscapes: {field} is {getattr(self, field)}.", f"Give at least {least}.")
        if not 0 < self.evaluation_share < 1:
            raise ConfigError(
                f"Soundscapes: evaluation_share is {self.evaluation_share}.", "Give a number between 0 and 1."
            )
        names = (*self.cities, self.unseen_city)
        if not self.cities or len(set(names)) < len(names) or not all(name.isidentifier() for name in names):
            raise ConfigError(
                f"Soundscapes: the cities are {names}.",
                "Give different names of letters and underscores, at least one beside the unseen city.",
            )


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
            number = len(scenes.SCENES) * place + scene_number  # more locations leave the others as they are
            for clip in range(config.clips_per_location):
                name = f"audio/{scene}-{city}-{number}-{clip}-a.wav"
                clips.append(PlannedClip(name, scene, city, number, clip, place < locations - evaluated))
    return clips

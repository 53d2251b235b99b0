"""Rendering into files: the official TAU layout for scenes, a labelled folder for isolated events. In parallel, resumable.

A folder's recipe (soundscapes.json) is written first and its tables last; clips move into place when they are whole. So a
killed run goes on where it stopped, and a folder with tables is complete.
"""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
from pathlib import Path

import soundfile

from crossask.datasets.soundscapes import events, rendering, scenes
from crossask.errors import ConfigError, DataError

RECIPE = "soundscapes.json"


@dataclasses.dataclass(frozen=True)
class SoundscapesConfig:
    """Which recordings a corpus holds. The default, 320 clips, is the demo's: a class has 5 + 3 locations of 4 clips."""

    seed: int = 0
    cities: tuple[str, ...] = ("barcelona", "helsinki", "lisbon", "lyon")
    unseen_city: str = "milan"  # stands in the evaluation part alone, like Milan in TAU
    locations_per_scene: int = 8
    clips_per_location: int = 4
    evaluation_share: float = 0.375  # of a scene's locations; a third of these, at least one, in the unseen city
    clip_seconds: float = 10.0
    sample_rate_hz: int = 48000

    def __post_init__(self):
        for field, least in (("seed", 0), ("locations_per_scene", 2), ("clips_per_location", 1), ("sample_rate_hz", 8000), ("clip_seconds", 1)):
            if getattr(self, field) < least:
                raise ConfigError(f"Soundscapes: {field} is {getattr(self, field)}.", f"Give at least {least}.")
        if not 0 < self.evaluation_share < 1:
            raise ConfigError(f"Soundscapes: evaluation_share is {self.evaluation_share}.", "Give a number between 0 and 1.")
        names = (*self.cities, self.unseen_city)
        if not self.cities or len(set(names)) < len(names) or not all(name.isidentifier() for name in names):
            raise ConfigError(
                f"Soundscapes: the cities are {names}.", "Give different names of letters and underscores, at least one beside the unseen city."
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
    """All clips by scene, location and number. A location's number is unique in the corpus, its side of the fold is fixed."""
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


def write_soundscapes(data_dir, config: SoundscapesConfig | None = None, workers: int = 1, progress=None) -> Path:
    """Renders a corpus of scenes in the layout of TAU Urban Acoustic Scenes 2019.

    Writes soundscapes.json (the recipe), audio/<scene>-<city>-<location>-<clip>-a.wav (24 bit, stereo), events.csv (what
    sounds when), evaluation_setup/fold1_{train,test,evaluate}.csv and meta.csv. The same recipe gives the same bytes,
    whatever the number of workers. Finished clips of the same recipe are kept.

    Args:
      workers: processes; 1 renders in this one.
      progress: called with (clips done, clips in all), or None.

    Returns:
      The path of meta.csv.

    Raises:
      DataError: the folder holds another recipe, or files that no recipe explains.
    """
    config = config or SoundscapesConfig()
    folder, clips = Path(data_dir), clips_of(config)
    _claim(folder, {"content": "scenes", **dataclasses.asdict(config)})
    arguments = [
        (config.seed, c.scene, c.city, c.location_number, c.clip_number, config.clip_seconds, config.sample_rate_hz) for c in clips
    ]
    _render(folder, "scene", [clip.name for clip in clips], arguments, config.sample_rate_hz, workers, progress)

    header = "filename\tscene_label"
    sounding = ["filename\tonset\toffset\tevent_label"]
    for clip in clips:
        plan = scenes.plan_clip(config.seed, clip.scene, clip.city, clip.location_number, clip.clip_number, config.clip_seconds)
        sounding += [f"{clip.name}\t{event.onset_s:.3f}\t{event.onset_s + event.seconds:.3f}\t{event.kind}" for event in plan]
    train, rest = ([clip for clip in clips if clip.training is side] for side in (True, False))
    setup = folder / "evaluation_setup"
    _write_lines(folder / "events.csv", sounding)
    _write_lines(setup / "fold1_train.csv", [header, *(f"{clip.name}\t{clip.scene}" for clip in train)])
    _write_lines(setup / "fold1_evaluate.csv", [header, *(f"{clip.name}\t{clip.scene}" for clip in rest)])
    _write_lines(setup / "fold1_test.csv", ["filename", *(clip.name for clip in rest)])
    meta = [f"{clip.name}\t{clip.scene}\t{clip.city}-{clip.location_number}\ta" for clip in clips]
    return _write_lines(folder / "meta.csv", ["filename\tscene_label\tidentifier\tsource_label", *meta])


def write_events(
    data_dir, seed: int = 0, count: int = 1200, workers: int = 1, progress=None, seconds: float = 2.9, sample_rate_hz: int = 48000
) -> Path:
    """Renders isolated events for event pre-training: audio/<number>-<kind>.wav and events.csv (filename,category,fold).

    The kinds take turns; the five folds are balanced over them. Determinism, resuming, `progress` and errors as in
    `write_soundscapes`.

    Returns:
      The path of events.csv.
    """
    if seed < 0 or count < 1:
        raise ConfigError(f"{count} events of seed {seed} cannot be rendered.", "Give at least one event and a seed of at least 0.")
    folder, kinds = Path(data_dir), events.EVENT_KINDS
    recipe = {"content": "events", "seed": seed, "count": count, "seconds": seconds, "sample_rate_hz": sample_rate_hz}
    _claim(folder, recipe)
    names = [f"{index:05d}-{kinds[index % len(kinds)]}.wav" for index in range(count)]
    arguments = [(seed, index, None, seconds, sample_rate_hz) for index in range(count)]
    _render(folder, "event", [f"audio/{name}" for name in names], arguments, sample_rate_hz, workers, progress)
    lines = [f"{name},{kinds[index % len(kinds)]},{index // len(kinds) % 5 + 1}" for index, name in enumerate(names)]
    return _write_lines(folder / "events.csv", ["filename,category,fold", *lines])


def _claim(folder: Path, recipe: dict):
    """Writes the recipe into an empty folder, or checks that the folder's is the same."""
    recipe = json.loads(json.dumps({"generator_version": scenes.GENERATOR_VERSION, **recipe}))
    path = folder / RECIPE
    advice = "Give an empty folder, or remove that one yourself."
    if not path.is_file():
        foreign = sorted(item.name for item in folder.iterdir()) if folder.is_dir() else []
        if foreign:
            raise DataError(f"{folder} holds {foreign[0]!r} but no {RECIPE}: it was not made here.", advice)
        _write_lines(path, [json.dumps(recipe, indent=2)])
        return
    try:
        present = json.loads(path.read_text())
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}).", advice) from error
    if present != recipe:
        changed = sorted(key for key in {*present, *recipe} if present.get(key) != recipe.get(key))
        there = ", ".join(f"{key}={present.get(key)!r}" for key in changed)
        asked = ", ".join(f"{key}={recipe.get(key)!r}" for key in changed)
        raise DataError(f"{folder} holds soundscapes with {there}; asked for were {asked}.", advice)


def _render(folder: Path, what: str, names, arguments, sample_rate_hz: int, workers: int, progress):
    """Writes the wavs that are not there yet; `progress` also counts those that are."""
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    jobs = [(what, str(folder / name), values, sample_rate_hz) for name, values in zip(names, arguments, strict=True)]
    missing = [job for job in jobs if not os.path.isfile(job[1])]
    done = len(jobs) - len(missing)
    if progress:
        progress(done, len(jobs))
    if workers <= 1 or len(missing) <= 1:
        finished = map(_render_one, missing)
        for _ in finished:
            done += 1
            if progress:
                progress(done, len(jobs))
        return
    # spawn: a fork would copy whatever threads and devices the caller holds
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(min(workers, len(missing)), context) as pool:
        try:
            for _ in pool.map(_render_one, missing, chunksize=min(4, -(-len(missing) // workers))):
                done += 1
                if progress:
                    progress(done, len(jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _render_one(job):
    what, path, values, sample_rate_hz = job
    render = rendering.render_scene_clip if what == "scene" else rendering.render_event
    wave, _ = render(*values)
    temporary = f"{path}.{os.getpid()}.part"
    try:
        # PCM_24: unlike float WAV it carries no chunk with a time stamp, so equal samples are equal bytes
        soundfile.write(temporary, wave, sample_rate_hz, "PCM_24", format="WAV")
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def _write_lines(path: Path, lines) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    os.replace(temporary, path)
    return path

"""Rendering into files: TAU's layout for scenes, a labelled folder for isolated events. In parallel, resumable.

A folder's recipe (soundscapes.json) is written first and its tables last; clips move into place when they are whole.
So a killed run goes on where it stopped, and a folder with tables is complete.
"""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
from pathlib import Path

import soundfile

from crossask import files
from crossask.config import from_dict
from crossask.datasets.soundscapes import events, rendering, scenes
from crossask.datasets.soundscapes.layout import SoundscapesConfig, clips_of
from crossask.errors import ConfigError, DataError

RECIPE = "soundscapes.json"


def write_soundscapes(
    data_dir, config: SoundscapesConfig | None = None, workers: int = 1, progress=None
) -> Path:
    """Renders a corpus of scenes in the layout of TAU Urban Acoustic Scenes 2019.

    Writes soundscapes.json (the recipe), audio/<scene>-<city>-<location>-<clip>-a.wav (24 bit, stereo), events.csv
    (what sounds when), evaluation_setup/fold1_{train,test,evaluate}.csv and meta.csv. The same recipe gives the same
    bytes, whatever the number of workers. Finished clips of the same recipe are kept.

    Args:
      config: None goes on with what the folder's recipe says, or takes the default.
      workers: processes; 1 renders in this one.
      progress: called with (clips done, clips in all), or None.

    Returns:
      The path of meta.csv.

    Raises:
      DataError: the folder holds another recipe, or files that no recipe explains.
    """
    config = config or recorded_config(data_dir)
    folder, clips = Path(data_dir), clips_of(config)
    _claim(folder, {"content": "scenes", **dataclasses.asdict(config)})
    arguments = [
        (
            config.seed,
            c.scene,
            c.city,
            c.location_number,
            c.clip_number,
            config.clip_seconds,
            config.sample_rate_hz,
        )
        for c in clips
    ]
    _render(
        folder,
        "scene",
        [clip.name for clip in clips],
        arguments,
        config.clip_seconds,
        config.sample_rate_hz,
        workers,
        progress,
    )

    header = "filename\tscene_label"
    sounding = ["filename\tonset\toffset\tevent_label"]
    for clip in clips:
        plan = scenes.plan_clip(
            config.seed,
            clip.scene,
            clip.city,
            clip.location_number,
            clip.clip_number,
            config.clip_seconds,
        )
        sounding += [
            f"{clip.name}\t{event.onset_s:.3f}\t{event.onset_s + event.seconds:.3f}\t{event.kind}"
            for event in plan
        ]
    train, rest = ([clip for clip in clips if clip.training is side] for side in (True, False))
    setup = folder / "evaluation_setup"
    _write_lines(folder / "events.csv", sounding)
    _write_lines(
        setup / "fold1_train.csv", [header, *(f"{clip.name}\t{clip.scene}" for clip in train)]
    )
    _write_lines(
        setup / "fold1_evaluate.csv", [header, *(f"{clip.name}\t{clip.scene}" for clip in rest)]
    )
    _write_lines(setup / "fold1_test.csv", ["filename", *(clip.name for clip in rest)])
    meta = [f"{clip.name}\t{clip.scene}\t{clip.city}-{clip.location_number}\ta" for clip in clips]
    return _write_lines(
        folder / "meta.csv", ["filename\tscene_label\tidentifier\tsource_label", *meta]
    )


def recorded_config(data_dir) -> SoundscapesConfig:
    """What the scenes in `data_dir` were rendered with; the default where none are."""
    path, names = (
        Path(data_dir) / RECIPE,
        {field.name for field in dataclasses.fields(SoundscapesConfig)},
    )
    try:
        recipe = json.loads(path.read_text())
    except (OSError, ValueError):
        return SoundscapesConfig()
    if not isinstance(recipe, dict) or recipe.get("content") != "scenes":
        return SoundscapesConfig()
    return from_dict(
        SoundscapesConfig, {name: value for name, value in recipe.items() if name in names}
    )


def write_events(
    data_dir,
    seed: int = 0,
    count: int = 1200,
    workers: int = 1,
    progress=None,
    seconds: float = 2.9,
    sample_rate_hz: int = 32000,
) -> Path:
    """Renders isolated events for event pre-training: audio/<number>-<kind>.wav, events.csv (filename,category,fold).

    The kinds take turns; the five folds are balanced over them. Determinism, resuming, `progress` and errors as in
    `write_soundscapes`.

    Args:
      sample_rate_hz: the default is what event models of 16 kHz need, twice over.

    Returns:
      The path of events.csv.
    """
    if seed < 0 or count < 1:
        raise ConfigError(
            f"{count} events of seed {seed} cannot be rendered.",
            "Give at least one event and a seed of at least 0.",
        )
    folder, kinds = Path(data_dir), events.EVENT_KINDS
    recipe = {
        "content": "events",
        "seed": seed,
        "count": count,
        "seconds": seconds,
        "sample_rate_hz": sample_rate_hz,
    }
    _claim(folder, recipe)
    names = [f"{index:05d}-{kinds[index % len(kinds)]}.wav" for index in range(count)]
    arguments = [(seed, index, None, seconds, sample_rate_hz) for index in range(count)]
    _render(
        folder,
        "event",
        [f"audio/{name}" for name in names],
        arguments,
        seconds,
        sample_rate_hz,
        workers,
        progress,
    )
    lines = [
        f"{name},{kinds[index % len(kinds)]},{index // len(kinds) % 5 + 1}"
        for index, name in enumerate(names)
    ]
    return _write_lines(folder / "events.csv", ["filename,category,fold", *lines])


def _claim(folder: Path, recipe: dict):
    """Writes the recipe into an empty folder, or checks that the folder's is the same."""
    recipe = json.loads(json.dumps({"generator_version": scenes.GENERATOR_VERSION, **recipe}))
    path = folder / RECIPE
    advice = "Give an empty folder, or remove that one yourself."
    if not path.is_file():
        present = folder.iterdir() if folder.is_dir() else ()
        foreign = sorted(
            item.name
            for item in present
            if not (item.name.startswith(f".{RECIPE}.") and item.suffix == ".part")
        )
        if foreign:
            raise DataError(
                f"{folder} holds {foreign[0]!r} but no {RECIPE}: it was not made here.", advice
            )
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


def _render(
    folder: Path,
    what: str,
    names,
    arguments,
    seconds: float,
    sample_rate_hz: int,
    workers: int,
    progress,
):
    """Writes the wavs that are not there yet; `progress` also counts those that are."""
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    jobs = [
        (what, str(folder / name), values, sample_rate_hz)
        for name, values in zip(names, arguments, strict=True)
    ]
    samples = round(seconds * sample_rate_hz)
    missing = [job for job in jobs if not _is_whole(job[1], samples)]
    files.remove_remains(folder / "audio")
    done = len(jobs) - len(missing)
    if progress:
        progress(done, len(jobs))
    if workers <= 1 or len(missing) <= 1:
        for job in missing:
            _render_one(job)
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


def _is_whole(path: str, samples: int) -> bool:
    """Whether a clip is there with all its samples, which the header promises and the size proves."""
    if not os.path.isfile(path):
        return False
    try:
        return soundfile.info(path).frames == samples and os.path.getsize(path) >= samples * 2 * 3
    except soundfile.LibsndfileError:
        return False


def _render_one(job):
    what, path, values, sample_rate_hz = job
    render = rendering.render_scene_clip if what == "scene" else rendering.render_event
    wave, _ = render(*values)
    with files.writing(path) as temporary:
        # PCM_24: unlike float WAV it carries no chunk with a time stamp, so equal samples are equal bytes
        soundfile.write(temporary, wave, sample_rate_hz, "PCM_24", format="WAV")


def _write_lines(path: Path, lines) -> Path:
    with files.writing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return path

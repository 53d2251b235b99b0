"""Rendering into files: scenes in the layout of TAU 2019, isolated events with their labels.

Recordings are rendered in parallel and moved into place when they are whole; the tables are written
last. So a killed run continues where it stopped, and a folder with tables is complete.
"""

import concurrent.futures.process
import dataclasses
import functools
import math
import multiprocessing
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile

from crossask import child_processes, files
from crossask.audio import sndfile
from crossask.datasets.soundscapes import composition, design, recipe, rendering
from crossask.datasets.soundscapes.design import (
    DesignedClip,
    IsolatedEventsConfig,
    SoundscapesConfig,
)
from crossask.datasets.soundscapes.event_kinds import EVENT_KINDS
from crossask.datasets.soundscapes.scenes import SCENES
from crossask.errors import CrossaskError

# Called with (recordings done, recordings in all).
Progress = Callable[[int, int], None]

EVENT_FOLDS = 5
# Recordings are stereo with 24 bits.
BYTES_PER_SAMPLE = 2 * 3


def write_soundscapes(
    data_dir: str | Path,
    config: SoundscapesConfig | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Renders a corpus of scenes in the layout of TAU Urban Acoustic Scenes 2019.

    The same configuration gives the same bytes, whatever the number of workers. Finished clips of
    the same configuration are kept. The files:

      soundscapes.json                                  the recipe
      audio/<scene>-<city>-<location>-<clip>-a.wav      24 bits, stereo
      events.csv                                        onset and offset of every event
      evaluation_setup/fold1_{train,test,evaluate}.csv  the fold
      meta.csv                                          the clips

    Args:
      data_dir: Folder to write to.
      config: The recordings; None is what the folder's recipe says, or else the default.
      workers: Number of processes; 1 renders in this one.
      progress: Called with the clips done and the clips in all.

    Returns:
      The path of meta.csv.

    Raises:
      DataError: The folder has another recipe, or files but no recipe.
      CrossaskError: The folder cannot be written, or its disk is too small.
    """
    folder = Path(data_dir)
    config = config or recipe.recorded_config(folder)
    count = len(SCENES) * config.locations_per_scene * config.clips_per_location
    _check_disk(folder, count, config.clip_seconds * config.sample_rate_hz)
    recipe.claim(folder, recipe.SCENE_CONTENT, config)
    clips = design.clips_of(config)
    jobs = []
    for clip in clips:
        render = functools.partial(
            rendering.render_scene_clip, clip.key, config.clip_seconds, config.sample_rate_hz
        )
        jobs.append(_Job(folder / clip.name, render, config.clip_seconds, config.sample_rate_hz))
    _render(jobs, workers, progress)
    _write_event_table(folder / "events.csv", clips, config.clip_seconds)
    _write_fold(folder / "evaluation_setup", clips)
    return _write_metadata(folder / "meta.csv", clips)


def write_events(
    data_dir: str | Path,
    config: IsolatedEventsConfig | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Renders isolated events for event pre-training.

    Writes audio/<number>-<kind>.wav and events.csv with the columns filename, category and fold.
    The kinds of event take turns, and the five folds are balanced over them. Reproducibility,
    continuation, `progress` and errors are as in `write_soundscapes`.

    Args:
      data_dir: Folder to write to.
      config: The recordings; None is the default.
      workers: Number of processes; 1 renders in this one.
      progress: Called with the recordings done and the recordings in all.

    Returns:
      The path of events.csv.
    """
    folder = Path(data_dir)
    config = config or IsolatedEventsConfig()
    _check_disk(folder, config.count, config.seconds * config.sample_rate_hz)
    recipe.claim(folder, recipe.EVENT_CONTENT, config)
    jobs = []
    lines = ["filename,category,fold"]
    for index in range(config.count):
        kind = EVENT_KINDS[index % len(EVENT_KINDS)]
        fold = index // len(EVENT_KINDS) % EVENT_FOLDS + 1
        name = f"{index:05d}-{kind}.wav"
        render = functools.partial(
            rendering.render_event, config.seed, index, None, config.seconds, config.sample_rate_hz
        )
        path = folder / "audio" / name
        jobs.append(_Job(path, render, config.seconds, config.sample_rate_hz))
        lines.append(f"{name},{kind},{fold}")
    _render(jobs, workers, progress)
    return _write_lines(folder / "events.csv", lines)


def _check_disk(folder: Path, recordings: int, samples: float) -> None:
    """Raises CrossaskError for recordings that would not fit on the disk even if it were empty.

    A list of so many would fill the memory first. What is free may suffice for the recordings that
    are missing, so it is not compared.

    Args:
      folder: The folder of the recordings.
      recordings: Their number.
      samples: Length of each of them in samples.
    """
    needed = recordings * samples * BYTES_PER_SAMPLE
    files.check_room(folder, 0)
    whole = shutil.disk_usage(folder).total
    if needed > whole:
        raise CrossaskError(
            f"{recordings} recordings need {needed / 1e9:.0f} GB, but the disk of {folder} has "
            f"{whole / 1e9:.0f} GB in all.",
            "Render fewer recordings.",
        )


@dataclasses.dataclass(frozen=True)
class _Job:
    """A recording to write.

    Attributes:
      path: Path of the file.
      render: Function that returns the waveform, float32 [samples, 2], and its labels.
      seconds: Length of the recording.
      sample_rate_hz: Sample rate in Hz.
    """

    path: Path
    render: Callable[[], tuple[np.ndarray, object]]
    seconds: float
    sample_rate_hz: int

    @property
    def is_done(self) -> bool:
        """Whether the file exists with all of its samples.

        The number of samples in the header and the size of the file are compared, because the
        header of a file that was cut is still whole.
        """
        if not self.path.is_file():
            return False
        samples = round(self.seconds * self.sample_rate_hz)
        try:
            has_header = soundfile.info(self.path).frames == samples
        except soundfile.LibsndfileError:
            return False
        return has_header and self.path.stat().st_size >= samples * BYTES_PER_SAMPLE


def _render(jobs: Sequence[_Job], workers: int, progress: Progress | None) -> None:
    """Writes the recordings that are not there yet; `progress` counts the others, too."""
    folder = jobs[0].path.parent
    folder.mkdir(parents=True, exist_ok=True)
    missing = [job for job in jobs if not job.is_done]
    files.remove_remains(folder)
    done = len(jobs) - len(missing)

    def report() -> None:
        if progress:
            progress(done, len(jobs))

    def count_one() -> None:
        nonlocal done
        done += 1
        report()

    report()
    if workers <= 1 or len(missing) <= 1:
        for job in missing:
            _render_one(job)
            count_one()
    else:
        _render_in_parallel(missing, workers, count_one)


def _render_in_parallel(jobs: Sequence[_Job], workers: int, count_one: Callable[[], None]) -> None:
    """Renders in several processes; calls `count_one` after each recording.

    Raises:
      CrossaskError: One of the processes was killed.
    """
    # A forked process would copy the threads and devices of the caller, so processes are spawned.
    context = multiprocessing.get_context("spawn")
    chunk = min(4, math.ceil(len(jobs) / workers))
    pool_of_children = concurrent.futures.ProcessPoolExecutor(
        min(workers, len(jobs)), context, child_processes.prepare_child
    )
    with pool_of_children as pool:
        try:
            for _ in pool.map(_render_one, jobs, chunksize=chunk):
                count_one()
        except concurrent.futures.process.BrokenProcessPool as error:
            raise CrossaskError(
                "A process that rendered recordings was killed.",
                "Free some memory or lower --workers, and run the same command again: it "
                "continues.",
            ) from error
        except BaseException:
            # Ctrl-C does not wait for the recordings that have not begun.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _render_one(job: _Job) -> None:
    wave, _ = job.render()
    with files.writing(job.path) as temporary:
        # Unlike a float WAV, PCM_24 has no chunk with a time stamp, so equal samples are equal
        # bytes.
        sndfile.write_wav(temporary, wave, job.sample_rate_hz, "PCM_24")


def _write_event_table(path: Path, clips: Iterable[DesignedClip], clip_seconds: float) -> None:
    lines = ["filename\tonset\toffset\tevent_label"]
    for clip in clips:
        for event in composition.plan_clip(clip.key, clip_seconds):
            times = f"{event.onset_s:.3f}\t{event.offset_s:.3f}"
            lines.append(f"{clip.name}\t{times}\t{event.kind}")
    _write_lines(path, lines)


def _write_fold(folder: Path, clips: Iterable[DesignedClip]) -> None:
    header = "filename\tscene_label"
    train = [header]
    evaluation = [header]
    test = ["filename"]
    for clip in clips:
        line = f"{clip.name}\t{clip.key.scene}"
        if clip.is_training:
            train.append(line)
        else:
            evaluation.append(line)
            test.append(clip.name)
    _write_lines(folder / "fold1_train.csv", train)
    _write_lines(folder / "fold1_evaluate.csv", evaluation)
    _write_lines(folder / "fold1_test.csv", test)


def _write_metadata(path: Path, clips: Iterable[DesignedClip]) -> Path:
    lines = ["filename\tscene_label\tidentifier\tsource_label"]
    for clip in clips:
        key = clip.key
        lines.append(f"{clip.name}\t{key.scene}\t{key.city}-{key.location_number}\ta")
    return _write_lines(path, lines)


def _write_lines(path: Path, lines: Iterable[str]) -> Path:
    with files.writing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return path

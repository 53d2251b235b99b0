"""Runs a little of every stage of every row before a grid starts, to find problems in minutes.

Each row is checked in a process of its own, so that a row that runs out of memory affects nothing
else. Everything is written to a temporary folder.
"""

import concurrent.futures
import contextlib
import dataclasses
import itertools
import logging
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing import Process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossask import files, processors, system_errors
from crossask.child_processes import prepare_child
from crossask.config import EventModelConfig, Experiment, TrainingConfig, catalogue
from crossask.datasets import Corpora, Corpus, Fold, read_corpus
from crossask.errors import CrossaskError, DataError, Preempted
from crossask.grid.processes import Connection, start_child
from crossask.grid.runs import Grid, StepTime
from crossask.training.parts import Parts, parts_of
from crossask.training.run_folder import run_at

try:
    import resource
except ImportError:
    # Windows has no limits of processes.
    resource = None

# A child process limits its memory before it imports TensorFlow.
if TYPE_CHECKING:
    from crossask.features.cache import FeatureCache

# Clips that are computed of each part of the fold.
CLIPS_OF_A_PART = 2
# Characters of the error output of a process that ended without a message.
LONGEST_STDERR = 2000
# Texts in messages of TensorFlow and of the C++ library when memory runs out.
OUT_OF_MEMORY = (
    "bad_alloc",
    "OOM when allocating",
    "out of memory",
    "Cannot allocate memory",
)
# Signals of a process whose memory ran out. Windows does not have all of them.
KILLED = "SIGKILL"
CRASHED = ("SIGSEGV", "SIGABRT", "SIGBUS")
# Distributions whose devices a second process cannot use.
NOT_CHECKED = ("multi_worker_mirrored", "tpu")
# Training that probably takes less time is not checked: the check takes about a minute itself.
SHORTEST_CHECKED_SECONDS = 300
TRAIN_ANYWAY = "--preflight=never trains anyway"
LOG = logging.getLogger("crossask")


@dataclasses.dataclass(frozen=True)
class Passed:
    """A row that passed all its stages.

    Attributes:
      row: Name of the row.
      stages: Names of the stages.
      seconds: Duration of its process.
      peak_bytes: Largest memory of its process; None if the system does not report it.
      step: Time of a training step.
    """

    row: str
    stages: tuple[str, ...]
    seconds: float
    peak_bytes: int | None
    step: StepTime


Outcome = Passed | CrossaskError


@dataclasses.dataclass(frozen=True)
class _Task:
    """What the process of one row needs.

    Attributes:
      row: The row.
      folds: Names of its folds.
      seed: Seed of the run.
      corpus: The corpus.
      folder: Folder for everything that the process writes.
      distribution: See `devices.make_distribution`.
      threads: Number of threads; 0 for as many as there are cores.
      exports: Whether the model is exported, too.
      most_bytes: Address space that the process may use; None for no limit.
    """

    row: Experiment
    folds: tuple[str, ...]
    seed: int
    corpus: Corpus
    folder: Path
    distribution: str
    threads: int
    exports: bool
    most_bytes: int | None

    @property
    def stderr(self) -> Path:
        """File with the process's error output."""
        return self.folder / "stderr"


def rows_to_check(grid: Grid, mode: str = "auto", jobs: int = 1) -> list[Experiment]:
    """Returns the rows that `check` should check.

    Args:
      grid: The grid.
      mode: "auto" (rows with a run that has not begun, if more than one run is left and training
        will probably take more than SHORTEST_CHECKED_SECONDS), "always" (all rows) or "never".
      jobs: Runs trained at once.
    """
    plan = grid.plan()
    if mode == "never":
        return []
    if mode == "always":
        return list(dict.fromkeys(row for row, _ in plan))
    unfinished = [run for _, run in plan if not run.finished]
    if len(unfinished) < 2 or _is_short(grid, jobs):
        return []
    return list(dict.fromkeys(row for row, run in plan if not run.path("config.json").is_file()))


def _is_short(grid: Grid, jobs: int) -> bool:
    """Returns whether training will probably take less than SHORTEST_CHECKED_SECONDS."""
    from crossask.grid import plan

    try:
        seconds = plan.expected_seconds(grid, Corpora(grid.data_dir), jobs)
    except CrossaskError:
        # `check` reports the problems of all rows together.
        return False
    return seconds < SHORTEST_CHECKED_SECONDS


def check_scenes(grid: Grid, rows: Sequence[Experiment]) -> None:
    """Checks the scenes of rows that `check` leaves out; only metadata is read.

    Args:
      grid: The grid.
      rows: Rows of the grid; the folds of their unfinished runs are checked.

    Raises:
      DataError: A fold does not train on every scene, or there is only one.
    """
    corpora: dict[str, Corpus] = {}
    unfinished = [(row, run.fold) for row, run in grid.plan() if not run.finished]
    for row, fold in dict.fromkeys(unfinished):
        if row not in rows:
            continue
        if row.dataset not in corpora:
            corpora[row.dataset] = read_corpus(row.dataset, grid.data_dir, need_audio=False)
        # With metadata alone, recordings are not cut into clips; the clips have the same scenes.
        _check_trained(row, corpora[row.dataset], fold)


def check(
    grid: Grid,
    rows: Sequence[Experiment],
    jobs: int = 1,
    distribution: str = "auto",
    most_bytes: int | None = None,
) -> Iterator[Outcome]:
    """Computes features, two training steps at the row's batch size, an evaluation and an export.

    Folders and folds are checked first, which takes seconds. If a folder cannot be written, no row
    is checked. Rows of one system, strategy and front-end are exported once, because an export
    takes half of the time of a small row. Event models from outside are exported one by one.

    Args:
      grid: The grid.
      rows: Rows of the grid to check.
      jobs: Rows checked at once: as many as are trained at once, because these share the memory.
      distribution: See `devices.make_distribution`. Several machines and TPUs are not checked.
      most_bytes: Address space that the process of a row may use; None for no limit.

    Yields:
      `Passed` for a row, or a CrossaskError for a problem.
    """
    if not rows or distribution in NOT_CHECKED:
        return
    from crossask.training import devices

    devices.check_machines(distribution)
    problems = _unwritable_folders(grid)
    yield from problems
    if problems:
        return
    corpora = Corpora(grid.data_dir)
    rows_with_folds, problems = _rows_with_folds(grid, rows, corpora)
    yield from problems
    if not rows_with_folds:
        return
    jobs = min(devices.processes_at_once(jobs, distribution), len(rows_with_folds))
    threads = max(1, processors.cores() // jobs) if jobs > 1 else 0
    with files.working_folder("crossask-preflight") as scratch:
        tasks = []
        exported = set()
        for number, row in enumerate(rows_with_folds):
            export_key = (row.system, row.strategy, _exported_event_model(row), row.features)
            tasks.append(
                _Task(
                    row=row,
                    folds=grid.folds_of(row),
                    seed=grid.seeds[0],
                    corpus=corpora(row),
                    folder=scratch / str(number),
                    distribution=distribution,
                    threads=threads,
                    exports=export_key not in exported,
                    most_bytes=most_bytes,
                )
            )
            exported.add(export_key)
        yield from _in_processes(tasks, jobs)


def _rows_with_folds(
    grid: Grid, rows: Sequence[Experiment], corpora: Corpora
) -> tuple[list[Experiment], list[CrossaskError]]:
    """Returns the rows whose corpus and folds can be used, and the problems of the others."""
    usable = []
    problems: dict[str, CrossaskError] = {}
    for row in rows:
        try:
            _check_folds(row, corpora(row), grid.folds_of(row))
            usable.append(row)
        except CrossaskError as error:
            # Rows share a corpus and its folds, so they share the problem.
            problems.setdefault(str(error), error)
    return usable, list(problems.values())


def _exported_event_model(row: Experiment) -> str | EventModelConfig:
    """Returns a value that is equal for two rows whose event models are exported in one way."""
    if catalogue.event_model(row.event_model.name).is_trainable:
        return row.event_model.name
    return row.event_model


def _unwritable_folders(grid: Grid) -> list[CrossaskError]:
    """Returns a problem for each of --model_dir and --features_dir that cannot be written."""
    unfinished = [run.folder for _, run in grid.plan() if not run.finished]
    folders_of_flag = {
        "--model_dir": [Path(grid.model_dir), *unfinished],
        "--features_dir": [Path(grid.features_dir)],
    }
    problems = []
    for flag, folders in folders_of_flag.items():
        for folder in folders:
            problem = _unwritable(folder)
            if problem:
                problems.append(CrossaskError(problem, f"Give a {flag} that you may write to."))
                break
    return problems


def _unwritable(folder: Path) -> str:
    """Returns why a folder cannot be written, "" if it can; creates no folders."""
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        files.check_room(folder, 0)
    except CrossaskError as error:
        return error.problem
    finally:
        for path in created:
            with contextlib.suppress(OSError):
                path.rmdir()
    return ""


def _check_folds(row: Experiment, corpus: Corpus, folds: Sequence[str]) -> None:
    """Raises DataError unless each fold trains on every scene, and one of them evaluates it.

    A scene with fewer locations than folds is missing in the evaluation part of some folds; their
    predictions are scored together.
    """
    scene_of = {clip.id: clip.scene for clip in corpus.clips}
    evaluated: set[str] = set()
    for name in folds:
        parts = _check_trained(row, corpus, name)
        evaluated |= {scene_of[clip_id] for clip_id in parts.evaluation}
    names = ", ".join(repr(name) for name in folds)
    _check_scenes(evaluated, corpus, f"Fold {names}", "evaluate")


def _check_trained(row: Experiment, corpus: Corpus, fold: str) -> Parts:
    """Returns the parts of a fold.

    Raises:
      DataError: The fold does not train on every scene, or there is only one.
    """
    if len(corpus.scenes) < 2:
        raise DataError(
            f"Corpus {corpus.name!r} has one scene only, {corpus.scenes[0]!r}.",
            "Add recordings of at least one other scene.",
        )
    parts = parts_of(corpus, fold, row.training)
    training = set(parts.training)
    trained = {clip.scene for clip in corpus.clips if clip.id in training}
    _check_scenes(trained, corpus, f"Fold {fold!r}", "train")
    return parts


def _check_scenes(present: set[str], corpus: Corpus, fold: str, verb: str) -> None:
    """Raises DataError if a scene of the corpus is not in `present`."""
    missing = sorted(set(corpus.scenes) - present)
    if missing:
        raise DataError(
            f"{fold} of corpus {corpus.name!r} has no clips of {', '.join(missing)} to {verb} on.",
            f"Add recordings of it to that part, or leave the scene out; {TRAIN_ANYWAY}.",
        )


def _in_processes(tasks: list[_Task], jobs: int) -> Iterator[Outcome]:
    """Yields the outcome of each task in their order; `jobs` processes run at once.

    The processes end with this call, however it ends.
    """
    processes: list[Process] = []
    cancelled = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        try:
            yield from pool.map(lambda task: _outcome(task, processes, cancelled), tasks)
        finally:
            cancelled.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()


def _outcome(task: _Task, processes: list[Process], cancelled: threading.Event) -> Outcome | None:
    """Runs one row in its own process. Returns None if the check was cancelled."""
    task.folder.mkdir()
    start = time.monotonic()
    process, connection = start_child(_check_row, task)
    processes.append(process)
    stages = []
    kind = ""
    content: Any = ""
    # The connection ends with the process.
    with contextlib.suppress(EOFError, OSError):
        while True:
            kind, content = connection.recv()
            if kind == "stage":
                stages.append(content)
    process.join()
    if cancelled.is_set():
        return None
    if kind == "passed":
        peak_bytes, step = content
        seconds = time.monotonic() - start
        return Passed(task.row.name, tuple(stages), seconds, peak_bytes, step)
    stage = stages[-1] if stages else "start"
    if kind == "error":
        return CrossaskError(f"Row {task.row.name}, {stage}: {content.problem}", content.fix)
    return _failure(task, stage, kind, content, process.exitcode)


def _failure(task: _Task, stage: str, kind: str, trace: Any, exit_code: int) -> CrossaskError:
    """Returns the problem of a row whose process ended without a CrossaskError.

    Args:
      task: The row.
      stage: The stage in which the process ended.
      kind: The last message of the process: "memory", "bug", or another.
      trace: With "bug", the stack trace.
      exit_code: Exit code of the process.
    """
    name = task.row.name
    stderr = task.stderr.read_text(errors="replace") if task.stderr.is_file() else ""
    if kind == "memory" or _ended_for_memory(exit_code, stderr, task.most_bytes):
        return CrossaskError(
            f"Row {name} runs out of memory at its batch size {task.row.training.batch_size} "
            f"({stage}).",
            "Lower training.batch_size, or --jobs.",
        )
    if kind != "bug":
        ending = f"ended with exit code {exit_code}"
        if exit_code < 0:
            ending = f"was ended by {_signal_of(exit_code)}"
        trace = f"{stderr[-LONGEST_STDERR:]}\nthe process {ending}."
    LOG.error("preflight: %s: %s:\n%s", name, stage, trace.strip())
    last_line = trace.strip().splitlines()[-1]
    return CrossaskError(
        f"Row {name}, {stage}: {last_line}", f"The whole error is shown above; {TRAIN_ANYWAY}."
    )


def _ended_for_memory(exit_code: int, stderr: str, most_bytes: int | None) -> bool:
    """Returns whether a process that sent no message ended because memory ran out."""
    name = _signal_of(exit_code)
    if name == KILLED or any(words in stderr for words in OUT_OF_MEMORY):
        return True
    # TensorFlow does not check every allocation: with a limit on its address space it crashes.
    return name in CRASHED and (most_bytes is not None or _has_memory_limit())


def _signal_of(exit_code: int) -> str:
    """Returns the name of the signal that ended a process; "" if none did."""
    return signal.Signals(-exit_code).name if exit_code < 0 else ""


def _has_memory_limit() -> bool:
    """Returns whether the address space of this process is limited."""
    if resource is None:
        return False
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return soft_limit != resource.RLIM_INFINITY


def _check_row(connection: Connection, task: _Task) -> None:
    """Takes one row through its stages, in a process of its own.

    It sends ("stage", name) as each stage begins, and at the end
    ("passed", (largest memory, time of a step)), ("error", CrossaskError), ("memory", "") or
    ("bug", stack trace).
    """
    prepare_child()
    # C++ libraries may print a reason and end the process. `_failure` reads this file.
    os.dup2(os.open(task.stderr, os.O_WRONLY | os.O_CREAT), 2)
    # AutoGraph's temporary files would remain after a process is killed.
    files.write_temporary_files_to(task.folder)
    if task.most_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (task.most_bytes, task.most_bytes))
    clock = _EpochClock()
    try:
        for stage in _stages(task, clock):
            connection.send(("stage", stage))
        connection.send(("passed", (_peak_bytes(), clock.step_time())))
    except CrossaskError as error:
        connection.send(("error", error))
    except Preempted:
        return
    except Exception as error:
        translated = system_errors.translate(error)
        if _is_out_of_memory(error):
            connection.send(("memory", ""))
        elif translated:
            connection.send(("error", translated))
        else:
            connection.send(("bug", traceback.format_exc()))


class _EpochClock:
    """Records when a run begins and when each of its two epochs ends."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, _epochs: int, _total: int, _note: str) -> None:
        self.times.append(time.monotonic())

    def step_time(self) -> StepTime:
        """Returns the times of both epochs, which have one step each."""
        began, first_ended, second_ended = self.times
        return StepTime(first=first_ended - began, later=second_ended - first_ended)


def _stages(task: _Task, clock: _EpochClock) -> Iterator[str]:
    """Yields the name of each stage, and computes the stage when the next name is requested."""
    yield "features"
    from crossask import serving, training
    from crossask.features.cache import in_order, prepare_features
    from crossask.training import devices

    if task.threads:
        devices.limit_threads(task.threads)
    _check_precomputed(task)
    few, fold = _few_clips(task)
    cache = prepare_features(few, task.row, task.folder / "features", workers=1)
    all_clips = tuple(clip.id for clip in in_order(task.corpus))
    whole = dataclasses.replace(cache, clip_ids=all_clips)
    for name in task.folds:
        parts = parts_of(task.corpus, name, task.row.training)
        training.training_data(task.row, task.corpus, whole, parts.training, task.seed)

    yield "training step"
    row = _two_epochs(task.row)
    run = run_at(task.folder / "runs", row.name, fold.name, task.seed)
    validation = set(fold.validation)
    training_ids = [clip_id for clip_id in fold.train if clip_id not in validation]
    one_batch = _filled(cache, training_ids, row.training, task.folder / "filled")
    distribution = devices.make_distribution(task.distribution)
    options = training.Options(distribution=distribution, progress=clock)
    training.train(run, row, few, one_batch, options)

    yield "evaluation"
    training.evaluate_run(run, few, cache)

    # Controls and precomputed embeddings have no model that predicts recordings.
    has_export = not (task.row.event_control or task.corpus.ready_made)
    if task.exports and has_export:
        yield "export"
        serving.export_run(run, task.folder / "model")


def _check_precomputed(task: _Task) -> None:
    """Raises DataError unless embeddings that come from a file are those of all clips."""
    from crossask import events

    if events.are_from_file(task.row) and not task.corpus.ready_made:
        events.frozen(task.row).check(clip.id for clip in task.corpus.clips)


def _few_clips(task: _Task) -> tuple[Corpus, Fold]:
    """Returns the corpus and its first fold with a few clips of each part."""
    parts = parts_of(task.corpus, task.folds[0], task.row.training)
    training = _spread(parts.training)
    validation = _spread(parts.validation)
    evaluation = _spread(parts.evaluation)
    fold = Fold(task.folds[0], training + validation, evaluation, validation)
    kept = {*fold.train, *fold.evaluation}
    clips = tuple(clip for clip in task.corpus.clips if clip.id in kept)
    return dataclasses.replace(task.corpus, clips=clips, folds=(fold,)), fold


def _spread(clip_ids: Sequence[str]) -> tuple[str, ...]:
    """Returns CLIPS_OF_A_PART clips from the first to the last; () if there are none."""
    if not clip_ids:
        return ()
    chosen = []
    for number in range(CLIPS_OF_A_PART):
        chosen.append(clip_ids[(len(clip_ids) - 1) * number // (CLIPS_OF_A_PART - 1)])
    return tuple(dict.fromkeys(chosen))


def _two_epochs(row: Experiment) -> Experiment:
    """Returns the row with two epochs and a schedule that fits; network and batch size stay.

    The first epoch also builds TensorFlow's graphs, so the second is timed.
    """
    training = dataclasses.replace(
        row.training,
        epochs=2,
        keep_from=1,
        average_from=1,
        patience=0,
        warmup_epochs=0,
        input_streams=1,
    )
    return dataclasses.replace(row, training=training)


def _filled(
    cache: "FeatureCache", training_ids: list[str], settings: TrainingConfig, folder: Path
) -> "FeatureCache":
    """Returns the cache with its training clips repeated until they fill one batch."""
    from crossask.features import records
    from crossask.features.batches import count_examples

    examples_of_clip = count_examples(cache, training_ids[:1], settings.context_frames)
    needed = math.ceil(settings.batch_size / examples_of_clip)
    missing = max(0, needed - len(training_ids))
    repeated = itertools.islice(itertools.cycle(training_ids), missing)
    filled = dataclasses.replace(
        cache,
        clip_ids=(*cache.clip_ids, *repeated),
        folders={kind: folder / kind for kind in cache.folders},
    )
    for kind in cache.folders:
        values = dict(records.read_clips(cache.shards(kind)))
        filled.folders[kind].mkdir(parents=True)
        # The repeated clips fill shards of equal content. The first is written, and the others are
        # links to it.
        written: dict[tuple[str, ...], str] = {}
        for number, path in enumerate(filled.shards(kind)):
            clip_ids = records.clips_of_shard(filled.clip_ids, number)
            if clip_ids in written:
                os.symlink(written[clip_ids], path)
                continue
            encoded = []
            for clip_id in clip_ids:
                encoded.append(records.encode_clip(clip_id, values[clip_id], kind))
            records.write_shard(path, encoded)
            written[clip_ids] = path
    return filled


def _is_out_of_memory(error: Exception) -> bool:
    """Returns whether an error was raised because memory ran out."""
    import tensorflow as tf

    if isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)):
        return True
    return any(words in str(error) for words in OUT_OF_MEMORY)


def _peak_bytes() -> int | None:
    """Returns the largest memory that this process had; None if the system does not report it."""
    status = Path("/proc/self/status")
    if status.is_file():
        # `ru_maxrss`, below, is never less than the memory of the parent when it started this
        # process.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

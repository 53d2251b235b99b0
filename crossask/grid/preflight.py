"""One real step of every stage of every row, before a grid starts: what would fail after hours fails in the first minutes.

Each row has a process of its own, so that one that runs out of memory takes nothing else with it. Nothing is left behind.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
import logging
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from crossask import config, files
from crossask.datasets import Corpus, Fold, read_corpus, training_parts
from crossask.errors import CrossaskError, DataError, Preempted
from crossask.grid.trainer import Grid, end_with_parent
from crossask.training import run_folder

CLIPS_A_PART = 2  # of the training, validation and evaluation parts each
# how the C++ below TensorFlow says that memory is at its end
OUT_OF_MEMORY = ("bad_alloc", "OOM when allocating", "out of memory", "Cannot allocate memory")
ALONE = ("multi_worker_mirrored", "tpu")  # strategies whose devices a second process cannot have
ALL_THE_SAME = "--preflight=never trains all the same"
LOG = logging.getLogger("crossask")


@dataclasses.dataclass(frozen=True)
class Passed:
    """A row that went through all its stages: how long its process took, and the most memory it had."""

    row: str
    stages: tuple[str, ...]
    seconds: float
    peak_bytes: int


@dataclasses.dataclass(frozen=True)
class _Task:
    """What the process of one row gets."""

    row: config.Experiment
    folds: tuple[str, ...]
    seed: int
    corpus: Corpus
    folder: Path  # for all that it writes
    distribution: str
    threads: int  # 0: as many as there are
    exports: bool
    most_bytes: int | None


def rows_to_check(grid: Grid, mode: str = "auto") -> list[config.Experiment]:
    """The rows to take through the preflight.

    Args:
      mode: "auto" (rows with a run that has not begun, where more than one run is left to do), "always" (all) or "never".
    """
    plan = grid.plan()
    if mode == "never" or (mode == "auto" and sum(not run.finished for _, run in plan) < 2):
        return []
    return list(
        dict.fromkeys(
            row for row, run in plan if mode == "always" or not run.path("config.json").is_file()
        )
    )


def check(
    grid: Grid, rows, jobs: int = 1, distribution: str = "auto", most_bytes: int | None = None
):
    """Takes `rows` of `grid` through features, a training step at their batch size, evaluation and export.

    Folders and folds come first: they take seconds. Where a folder cannot be written, no row is tried. Exporting takes half of a
    small row's time: rows of one system, strategy and front-end are exported once.

    Args:
      jobs: rows checked at once, as many as the grid trains at once: those share the memory as well.
      distribution: see devices.strategy; for several machines and TPUs nothing is checked.
      most_bytes: of address space that the process of a row may take; None: all there is.

    Yields:
      Passed for a row, or a CrossaskError for something that is wrong.
    """
    if not rows or distribution in ALONE:
        return
    from crossask.training import devices

    devices.check_machines(distribution)
    wrong = _unwritable_folders(grid)
    yield from wrong
    if wrong:
        return
    corpora = functools.cache(lambda dataset: read_corpus(dataset, grid.data_dir))
    sound, told = [], set()
    for row in rows:
        try:
            _check_folds(row, corpora(row.dataset), grid.folds or row.folds)
            sound.append(row)
        except CrossaskError as error:
            if str(error) not in told:  # rows share a corpus and its folds
                yield error
            told.add(str(error))
    if not sound:
        return
    jobs = min(devices.side_by_side(jobs, distribution), len(sound))
    threads = max(1, devices.cores() // jobs) if jobs > 1 else 0
    with tempfile.TemporaryDirectory(prefix="crossask-preflight-") as scratch:
        tasks, exported = [], set()
        for row in sound:
            served = (row.system, row.strategy, row.event_model.name, row.features)
            folds, folder = grid.folds or row.folds, Path(scratch, str(len(tasks)))
            tasks.append(
                _Task(
                    row,
                    folds,
                    grid.seeds[0],
                    corpora(row.dataset),
                    folder,
                    distribution,
                    threads,
                    served not in exported,
                    most_bytes,
                )
            )
            exported.add(served)
        yield from _in_processes(tasks, jobs)


def _unwritable_folders(grid: Grid) -> list[CrossaskError]:
    """An error for each of --model_dir and --features_dir that cannot be written."""
    left = [run.folder for _, run in grid.plan() if not run.finished]
    found = []
    for flag, folders in (
        ("--model_dir", [Path(grid.model_dir), *left]),
        ("--features_dir", [Path(grid.features_dir)]),
    ):
        for folder in folders:
            missing = [path for path in (folder, *folder.parents) if not path.exists()]
            try:
                files.check_room(folder, 0)
            except CrossaskError as error:
                found.append(CrossaskError(error.problem, f"Give a {flag} that you may write to."))
                break
            finally:
                for path in missing:
                    with contextlib.suppress(OSError):
                        path.rmdir()
    return found


def _check_folds(row: config.Experiment, corpus: Corpus, folds):
    """A DataError where a fold is not there, cannot be split, or a scene has no clips to learn from or to be evaluated on."""
    scene_of = {clip.id: clip.scene for clip in corpus.clips}
    for name in folds:
        fold = corpus.fold(name)
        training, _ = training_parts(
            corpus, fold, row.training.validation_share, row.training.validation_seed
        )
        for side, ids in (("train", training), ("evaluate", fold.evaluation)):
            missing = sorted(set(corpus.scenes) - {scene_of[clip_id] for clip_id in ids})
            if missing:
                raise DataError(
                    f"Fold {name!r} of corpus {corpus.name!r} has no clips of {', '.join(missing)} to {side} on.",
                    f"Add recordings of it to that side, or leave the scene out; {ALL_THE_SAME}.",
                )


def _in_processes(tasks: list[_Task], jobs: int):
    """The outcome of each task in their order, `jobs` at once; the processes end with this call, however it ends."""
    processes, ended = [], threading.Event()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        try:
            yield from pool.map(lambda task: _outcome(task, processes, ended), tasks)
        finally:
            ended.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()


def _outcome(task: _Task, processes: list, ended: threading.Event) -> Passed | CrossaskError | None:
    """Starts the row's process and waits for what becomes of it; None, which nobody reads, once the check has `ended`."""
    context = multiprocessing.get_context(
        "spawn"
    )  # a fork would cope badly with TensorFlow's threads
    ours, theirs = context.Pipe()
    task.folder.mkdir()
    process, start = (
        context.Process(target=_work, args=(theirs, task), daemon=True),
        time.monotonic(),
    )
    process.start()
    processes.append(process)
    theirs.close()  # so that the process's end closes the pipe
    stages, what, content = [], "", ""
    with contextlib.suppress(EOFError, OSError):
        while True:
            what, content = ours.recv()
            if what == "stage":
                stages.append(content)
    process.join()
    if ended.is_set():
        return None
    if what == "passed":
        return Passed(task.row.name, tuple(stages), time.monotonic() - start, content)
    stage = stages[-1] if stages else "start"
    if what == "error":
        return CrossaskError(f"Row {task.row.name}, {stage}: {content.problem}", content.fix)
    errors = _errors_of(task)
    text = errors.read_text(errors="replace") if errors.is_file() else ""
    if what == "memory" or _ended_for_memory(process.exitcode, text, task.most_bytes):
        return CrossaskError(
            f"Row {task.row.name} runs out of memory at its batch size {task.row.training.batch_size} ({stage}).",
            "Lower training.batch_size, or --jobs.",
        )
    if what != "bug":
        code = process.exitcode
        how = (
            f"was ended by {signal.Signals(-code).name}"
            if code < 0
            else f"ended with exit code {code}"
        )
        content = f"{text[-2000:]}\nthe process {how}."
    LOG.error("preflight: %s: %s:\n%s", task.row.name, stage, content.strip())
    return CrossaskError(
        f"Row {task.row.name}, {stage}: {content.strip().splitlines()[-1]}",
        f"The whole error stands above; {ALL_THE_SAME}.",
    )


def _ended_for_memory(exit_code: int, errors: str, most_bytes: int | None) -> bool:
    """Whether a process that said nothing ended for want of memory."""
    if exit_code == -signal.SIGKILL or any(mark in errors for mark in OUT_OF_MEMORY):
        return True
    # TensorFlow does not look at every allocation: where address space has a limit, what it could not have makes it crash
    limited = most_bytes or resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    return bool(limited) and exit_code in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS)


def _errors_of(task: _Task) -> Path:
    return task.folder / "stderr"


def _work(pipe, task: _Task):
    """A process that takes one row through its stages and says so: ("stage", name) as each begins, then what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells everybody; the parent answers
    threading.Thread(target=end_with_parent, daemon=True).start()
    # what C++ says before it ends the process, and what else is no news to the user
    os.dup2(os.open(_errors_of(task), os.O_WRONLY | os.O_CREAT), 2)
    # what AutoGraph writes stays where a process is killed
    tempfile.tempdir = os.environ["TMPDIR"] = str(task.folder)
    import traceback

    if task.most_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (task.most_bytes, task.most_bytes))
    try:
        for stage in _stages(task):
            pipe.send(("stage", stage))
        pipe.send(("passed", _peak_bytes()))
    except CrossaskError as error:
        pipe.send(("error", error))
    except Preempted:
        return
    except Exception as error:
        pipe.send(("memory", "") if _is_of_memory(error) else ("bug", traceback.format_exc()))


def _stages(task: _Task):
    """Yields the name of each stage, then does it when asked for the next."""
    yield "features"
    from crossask import evaluation, serving, training
    from crossask.features.cache import in_order, prepare_features
    from crossask.training import devices

    if task.threads:
        devices.limit_threads(task.threads)
    few, fold = _few(task.corpus, task.folds[0], task.row.training)
    cache = prepare_features(few, task.row, task.folder / "features", 1)
    whole = dataclasses.replace(cache, clip_ids=tuple(clip.id for clip in in_order(task.corpus)))
    for name in task.folds:
        settings = task.row.training
        ids, _ = training_parts(
            task.corpus, task.corpus.fold(name), settings.validation_share, settings.validation_seed
        )
        training.training_data(task.row, task.corpus, whole, ids, task.seed)

    yield "training step"
    row = _of_one_step(task.row)
    run = run_folder.run_at(task.folder / "runs", row.name, fold.name, task.seed)
    learnt = [clip_id for clip_id in fold.train if clip_id not in fold.validation]
    filled = _filled(cache, learnt, row.training, task.folder / "filled")
    training.train(run, row, few, filled, devices.strategy(task.distribution))

    yield "evaluation"
    table = training.predict(run, few, cache)
    table.to_csv(run.path("predictions.csv"), index=False)
    scores = evaluation.score(
        evaluation.read_predictions(run.path("predictions.csv")),
        seen_cities=few.training_cities(fold.name),
    )
    files.write_json(run.path("scores.json"), scores)

    # of a control or of ready-made embeddings there is no model that hears recordings
    if not task.exports or task.row.event_control or task.corpus.ready_made:
        return
    yield "export"
    serving.export_run(run, task.folder / "model")  # which reads it back


def _few(corpus: Corpus, fold_name: str, settings: config.TrainingConfig) -> tuple[Corpus, Fold]:
    """The corpus and its fold with a few clips of each part."""
    fold = corpus.fold(fold_name)
    parts = (
        *training_parts(corpus, fold, settings.validation_share, settings.validation_seed),
        fold.evaluation,
    )
    step = CLIPS_A_PART - 1
    training, validation, evaluation = (
        tuple(dict.fromkeys(ids[(len(ids) - 1) * n // step] for n in range(CLIPS_A_PART)))
        for ids in parts
    )
    fold = Fold(fold.name, training + validation, evaluation, validation)
    kept = {*fold.train, *fold.evaluation}
    return dataclasses.replace(
        corpus, clips=tuple(clip for clip in corpus.clips if clip.id in kept), folds=(fold,)
    ), fold


def _of_one_step(row: config.Experiment) -> config.Experiment:
    """The row with one epoch and a schedule that fits into it; what it builds and the size of its batches stay."""
    short = {
        "epochs": 1,
        "keep_from": 1,
        "average_from": 1,
        "patience": 0,
        "warmup_epochs": 0,
        "input_streams": 1,
    }
    return dataclasses.replace(row, training=dataclasses.replace(row.training, **short))


def _filled(cache, training_ids: list[str], settings: config.TrainingConfig, folder: Path):
    """The cache with its training clips repeated up to one batch; a shard that has been written is linked to, not copied."""
    import tensorflow as tf

    from crossask.features.batches import examples
    from crossask.features.cache import CLIPS_PER_SHARD

    clips = -(-settings.batch_size // examples(cache, training_ids[:1], settings.context_frames))
    repeated = itertools.islice(itertools.cycle(training_ids), max(0, clips - len(training_ids)))
    filled = dataclasses.replace(
        cache,
        clip_ids=(*cache.clip_ids, *repeated),
        folders={kind: folder / kind for kind in cache.folders},
    )
    for kind in cache.folders:
        (shard,) = cache.shards(kind)
        records = dict(
            zip(cache.clip_ids, tf.data.TFRecordDataset(shard).as_numpy_iterator(), strict=True)
        )
        filled.folders[kind].mkdir(parents=True)
        written = {}
        for number, path in enumerate(filled.shards(kind)):
            ids = filled.clip_ids[number * CLIPS_PER_SHARD : (number + 1) * CLIPS_PER_SHARD]
            if ids in written:
                os.symlink(written[ids], path)
                continue
            with tf.io.TFRecordWriter(path) as writer:
                for clip_id in ids:
                    writer.write(records[clip_id])
            written[ids] = path
    return filled


def _is_of_memory(error: Exception) -> bool:
    import tensorflow as tf

    return isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)) or any(
        mark in str(error) for mark in OUT_OF_MEMORY
    )


def _peak_bytes() -> int:
    """The most memory that this process had."""
    status = Path("/proc/self/status")
    if status.is_file():  # the system's other figure counts the parent's memory, too, from before the process was its own
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )

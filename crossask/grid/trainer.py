"""Rows x folds x seeds to finished runs, one after another or side by side; a run that fails does not stop the others."""

import contextlib
import dataclasses
import functools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading

from crossask import config
from crossask.datasets import read_corpus
from crossask.errors import CrossaskError, Preempted
from crossask.training import run_folder


@dataclasses.dataclass(frozen=True)
class Grid:
    """What to train, from what, and where the runs go."""

    rows: tuple[config.Experiment, ...]
    seeds: tuple[int, ...]
    data_dir: str
    features_dir: str
    model_dir: str
    folds: tuple[str, ...] = ()  # empty: each row's own

    def plan(self) -> list[tuple[config.Experiment, run_folder.Run]]:
        """Every run with its row, in the order in which they start."""
        return [
            (row, run_folder.run_at(self.model_dir, row.name, fold, seed))
            for row in self.rows
            for fold in (self.folds or row.folds)
            for seed in self.seeds
        ]


def train(
    grid: Grid,
    jobs: int = 1,
    workers: int = 2,
    distribution: str = "auto",
    tpu: str | None = None,
    progress_bar=None,
    save_steps: int = 0,
):
    """Trains what is not finished and yields (run, result of training.train or the CrossaskError that ended it).

    Args:
      jobs: the most runs trained at once, each in a process of its own with its share of the cores: a small network
        gains little from a second core. One at a time with a GPU, and with a strategy over several devices.
      workers: feature shards computed at once.
      distribution, tpu: see devices.strategy.
      progress_bar: function(description, unit) -> function(done, in all, note); epochs of all runs are one bar, on which an
        epoch of a row counts by its multiply-accumulates, so that the time left holds where rows differ in cost.
      save_steps: see training.train.

    Raises:
      CrossaskError: corpus or features cannot be had; no run has begun.
    """
    from crossask.features.cache import prepare_features
    from crossask.training import devices

    devices.check_machines(distribution)
    # several machines must find each other before anything is computed
    strategy = (
        devices.strategy(distribution, tpu) if distribution == "multi_worker_mirrored" else None
    )
    if strategy and devices.machines(strategy)[0]:
        progress_bar = None  # the first machine tells
    progress_bar = progress_bar or (lambda description, unit: lambda done, total, note="": None)
    plan = grid.plan()
    jobs = min(devices.side_by_side(jobs, distribution), len(plan))
    corpora = functools.cache(lambda dataset: read_corpus(dataset, grid.data_dir))
    tasks = []
    for row in dict.fromkeys(row for row, _ in plan):
        corpus = corpora(row.dataset)
        cache = prepare_features(
            corpus, row, grid.features_dir, workers, progress_bar(f"features of {row.name}", "clip")
        )
        paths = {"data_dir": grid.data_dir, "features_dir": grid.features_dir}
        tasks += [
            (run, row, corpus, cache, paths, save_steps) for planned, run in plan if planned is row
        ]
    epochs = {run: row.training.epochs for row, run in plan}
    done, bar = dict.fromkeys(epochs, 0), progress_bar(f"{len(plan)} runs", "epoch")
    costs = _costs(dict.fromkeys(row for row, _ in plan), corpora)
    cost, total = {run: costs[row] for row, run in plan}, sum(epochs.values())
    work = sum(cost[run] * epochs[run] for run in epochs)

    def tell(run, count, note):
        done[run] = count
        shown = round(total * sum(cost[run] * done[run] for run in done) / work)
        bar(
            total if done == epochs else min(shown, total - 1),
            total,
            f"{run.row} fold {run.fold} seed {run.seed}: {note}",
        )

    if jobs > 1:
        outcomes = _side_by_side(tasks, jobs, tell)
    else:
        outcomes = _one_by_one(tasks, strategy or devices.strategy(distribution, tpu), tell)
    with contextlib.closing(outcomes):
        for run, outcome in outcomes:
            tell(run, epochs[run], "ended" if isinstance(outcome, CrossaskError) else "finished")
            yield run, outcome


def _costs(rows, corpora) -> dict:
    """Row -> what a clip costs in training, up to a common factor."""
    from crossask.training import network_size

    if len(rows) == 1:
        return dict.fromkeys(rows, 1)
    costs = {}
    for row in rows:
        size = network_size.describe(row, len(corpora(row.dataset).scenes))
        costs[row] = size.scene.multiply_accumulates + (
            size.event.multiply_accumulates if row.event_input == "patches" else 0
        )
    return costs


def _one_by_one(tasks, strategy, tell):
    from crossask import training
    from crossask.training import devices

    for run, row, corpus, cache, paths, save_steps in tasks:
        try:
            outcome = training.train(
                run,
                row,
                corpus,
                cache,
                strategy,
                paths,
                lambda done, total, note, run=run: tell(run, done, note),
                save_steps,
            )
        except CrossaskError as error:
            if devices.machines(strategy)[1] > 1:
                raise  # the other machines still wait in this run: none may begin the next
            outcome = error
        yield run, outcome


def _side_by_side(tasks, jobs: int, tell):
    """As `_one_by_one`, in `jobs` processes; these end with this one, however it ends."""
    from crossask.training import devices

    context = multiprocessing.get_context(
        "spawn"
    )  # a fork would cope badly with TensorFlow's threads
    threads = max(1, devices.cores() // jobs)
    waiting, busy, processes = list(reversed(tasks)), {}, []

    def start():
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, threads), daemon=True)
        process.start()
        theirs.close()  # so that the process's end closes the pipe
        processes.append(process)
        give(ours)

    def give(pipe):
        if waiting:
            busy[pipe] = waiting.pop()
            with contextlib.suppress(
                OSError
            ):  # the process has ended: what is received from it will tell
                pipe.send(busy[pipe])
        else:
            pipe.close()

    try:
        for _ in range(jobs):
            start()
        while busy:
            for pipe in multiprocessing.connection.wait(list(busy)):
                run = busy[pipe][0]
                try:
                    what, *content = pipe.recv()
                except (EOFError, OSError):
                    del busy[pipe]
                    yield (
                        run,
                        CrossaskError(
                            f"The process that trained {run.folder} was killed.",
                            "Free some memory or lower --jobs.",
                        ),
                    )
                    if waiting:
                        start()
                    continue
                if what == "progress":
                    tell(run, *content)
                    continue
                del busy[pipe]
                give(pipe)
                if what == "bug":
                    raise RuntimeError(f"{run.folder} failed:\n{content[0]}")
                yield run, content[0]
    finally:
        for process in processes:
            process.terminate()
        for pipe in busy:  # a run that is told to end saves first, or has just ended
            with contextlib.suppress(EOFError, OSError):
                while pipe.recv()[0] == "progress":
                    pass
            pipe.close()
        for process in processes:
            process.join()


def _work(pipe, threads: int):
    """A process that trains what comes through the pipe until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells everybody; the parent answers
    threading.Thread(target=end_with_parent, daemon=True).start()
    import traceback

    from crossask import training
    from crossask.training import devices

    devices.limit_threads(threads)
    while True:
        try:
            run, row, corpus, cache, paths, save_steps = pipe.recv()
        except EOFError:
            return
        try:
            result = training.train(
                run,
                row,
                corpus,
                cache,
                None,
                paths,
                lambda done, total, note: pipe.send(("progress", done, note)),
                save_steps,
            )
            pipe.send(("outcome", result))
        except CrossaskError as error:
            pipe.send(("outcome", error))
        except Preempted:
            return
        except Exception:
            pipe.send(("bug", traceback.format_exc()))


def end_with_parent():
    """Ends this process when its parent ends: a run that outlives a killed command would write where the next command goes on."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)

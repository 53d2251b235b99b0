"""Trains the runs of a grid, one after another or side by side. A failed run stops no other."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from crossask import locks, system_errors, training
from crossask.config import Experiment, catalogue
from crossask.datasets import Corpora, Corpus
from crossask.errors import CrossaskError
from crossask.features.cache import prepare_features
from crossask.grid.processes import Outcome, Report, Task, train_side_by_side
from crossask.grid.runs import Grid
from crossask.training import devices, network_size, trunk
from crossask.training.run_folder import Run

LOG = logging.getLogger("crossask")
# Function(description, unit) -> function(done, in all, note)
ProgressBar = Callable[[str, str], Callable[..., None]]


@dataclasses.dataclass(frozen=True)
class Execution:
    """How the runs of a grid are computed. None of these changes their results.

    Attributes:
      jobs: Runs trained at once, at most, each in a process with its share of the cores (a small
        network gains little from a second core). With a GPU, or a strategy over several devices,
        runs are trained one at a time.
      workers: Feature shards computed at once.
      distribution: See `devices.make_distribution`.
      tpu: See `devices.make_distribution`.
      save_steps: See `crossask.training.Options`.
      peer_timeout: Seconds to wait for the other machines of TF_CONFIG.
    """

    jobs: int = 1
    workers: int = 2
    distribution: str = "auto"
    tpu: str | None = None
    save_steps: int = 0
    peer_timeout: float = 600.0


DEFAULT_EXECUTION = Execution()


def train(
    grid: Grid,
    execution: Execution = DEFAULT_EXECUTION,
    progress_bar: ProgressBar | None = None,
) -> Iterator[tuple[Run, Outcome]]:
    """Trains the runs of a grid that are not finished.

    Args:
      grid: The grid.
      execution: How the runs are computed.
      progress_bar: Function(description, unit) that returns a function which draws a bar. One bar
        shows the epochs of all runs. Each epoch is weighted by the row's multiply-accumulates, so
        that the estimate of the remaining time is right for rows of different cost.

    Yields:
      Each run with its result (see `crossask.training.train`), or with the CrossaskError that ended
      it.

    Raises:
      CrossaskError: The corpus, the features or a trunk are not available; no run has begun.
    """
    with contextlib.ExitStack() as connected:
        yield from _train_all(grid, execution, progress_bar, connected)


def _train_all(
    grid: Grid,
    execution: Execution,
    progress_bar: ProgressBar | None,
    connected: contextlib.ExitStack,
) -> Iterator[tuple[Run, Outcome]]:
    """Does what `train` does. The connection to other machines is added to `connected`."""
    distribution = execution.distribution
    devices.check_machines(distribution)
    strategy = None
    if distribution == "multi_worker_mirrored":
        # The machines must find each other before anything is computed.
        connection = devices.connected(distribution, execution.tpu, execution.peer_timeout)
        strategy = connected.enter_context(connection)
        if not devices.machines(strategy).is_first:
            # Only the first machine shows progress.
            progress_bar = None
    if progress_bar is None:
        progress_bar = _no_bar
    plan = grid.plan()
    if strategy is not None:
        # Each machine begins the next run when it has ended one, so all need the same runs.
        runs = [[run.row, run.fold, run.seed] for _, run in plan]
        facts = {"--experiment, --folds or --seeds": runs, "--save_steps": execution.save_steps}
        devices.check_agreement(strategy, facts)
    # Folds share a trunk, which is read once here.
    begun_with = dict.fromkeys(
        trunk.of_seed(row, run.seed) for row, run in plan if not run.finished
    )
    for row in begun_with:
        # A missing file is an error before anything is computed.
        trunk.digest(row)
    # Machines of one cluster may share the folder of the features.
    with locks.waiting(locks.waits() or strategy is not None):
        tasks = _tasks(grid, execution, progress_bar)
    progress = _Progress(plan, grid.corpora, progress_bar(f"{len(plan)} runs", "epoch"))

    jobs = min(devices.processes_at_once(execution.jobs, distribution), len(plan))
    if jobs > 1:
        outcomes = train_side_by_side(tasks, jobs, progress.report)
    else:
        strategy = strategy or devices.make_distribution(distribution, execution.tpu)
        outcomes = _one_by_one(tasks, strategy, progress.report)
    # If the caller stops iterating, closing ends the processes, too.
    with contextlib.closing(outcomes):
        for run, outcome in outcomes:
            failed = isinstance(outcome, CrossaskError)
            progress.finish(run, "failed" if failed else "finished")
            yield run, outcome


def _tasks(grid: Grid, execution: Execution, progress_bar: ProgressBar) -> list[Task]:
    """Returns the runs as tasks, after their features are computed."""
    # crossask-evaluate may run in another folder.
    paths = {
        "data_dir": os.path.abspath(grid.data_dir),
        "features_dir": os.path.abspath(grid.features_dir),
    }
    plan = grid.plan()
    tasks = []
    for row in dict.fromkeys(row for row, _ in plan):
        corpus = grid.corpora(row)
        _warn_of_random_weights(row, corpus)
        bar = progress_bar(f"features of {row.name}", "clip")
        cache = prepare_features(corpus, row, grid.features_dir, execution.workers, bar)
        for planned, run in plan:
            if planned is row:
                tasks.append(Task(run, row, corpus, cache, paths, execution.save_steps))
    return tasks


def _warn_of_random_weights(row: Experiment, corpus: Corpus) -> None:
    """Logs which frozen layers of a row have random weights.

    Some controls have them on purpose. Elsewhere a field was forgotten, and the score shows nothing
    of pre-trained events.
    """
    has_weights = bool(row.event_model.weights)
    # Embeddings from a file, and models from outside, have no random weights.
    is_of_package = catalogue.event_model(row.event_model.name).is_trainable
    reads_embeddings = row.event_input == "embedding" and row.event_control != "true_events"
    forgotten = []
    if reads_embeddings and is_of_package and not (has_weights or corpus.ready_made):
        forgotten.append(("event model", "event_model.weights"))
    if row.model.trunk_training == "frozen" and not row.model.trunk:
        forgotten.append(("trunk", "model.trunk"))
    for layers, field in forgotten:
        LOG.warning(
            "%s: the frozen %s has random weights, because %s is empty. Set it, unless the row is "
            "a control.",
            row.name,
            layers,
            field,
        )


def _one_by_one(
    tasks: Iterable[Task], strategy: tf.distribute.Strategy, report: Report
) -> Iterator[tuple[Run, Outcome]]:
    """Trains runs in this process, as `train_side_by_side` does in others."""
    for task in tasks:
        yield task.run, _outcome(task, strategy, report)


def _outcome(task: Task, strategy: tf.distribute.Strategy, report: Report) -> Outcome:
    """Returns the result of a run, or the error that ended it.

    Raises:
      Exception: One of several machines failed.
    """
    if devices.machines(strategy).count > 1:
        # The other machines still wait in this run, so none may begin the next. A machine that was
        # lost is no error of the system.
        return _train(task, strategy, report)
    try:
        with system_errors.translated():
            return _train(task, strategy, report)
    except CrossaskError as error:
        # The frames of its traceback would keep the network in memory, which may be full.
        return type(error)(error.problem, error.fix)


def _train(task: Task, strategy: tf.distribute.Strategy, report: Report) -> dict[str, Any]:
    """Trains a run in this process and returns its result."""

    def progress(epochs: int, _total: int, note: str) -> None:
        report(task.run, epochs, note)

    options = training.Options(strategy, task.paths, progress, task.save_steps)
    return training.train(task.run, task.row, task.corpus, task.cache, options)


class _Progress:
    """One bar for the epochs of all runs, weighted by the cost of the rows."""

    def __init__(
        self, plan: Sequence[tuple[Experiment, Run]], corpora: Corpora, bar: Callable[..., None]
    ):
        self.bar = bar
        self.epochs = {run: row.training.epochs for row, run in plan}
        self.done = dict.fromkeys(self.epochs, 0)
        costs = _costs(dict.fromkeys(row for row, _ in plan), corpora)
        self.cost = {run: costs[row] for row, run in plan}
        self.all_epochs = sum(self.epochs.values())
        self.all_work = self._work(self.epochs)

    def report(self, run: Run, epochs: int, note: str) -> None:
        """Shows the epochs of a run that are done."""
        self.done[run] = epochs
        if self.done == self.epochs:
            shown = self.all_epochs
        else:
            share = self._work(self.done) / self.all_work
            # The bar is full when all runs have ended, not before.
            shown = min(round(self.all_epochs * share), self.all_epochs - 1)
        self.bar(shown, self.all_epochs, f"{run.title}: {note}")

    def finish(self, run: Run, note: str) -> None:
        """Shows that a run has ended."""
        self.report(run, self.epochs[run], note)

    def _work(self, epochs: dict[Run, int]) -> float:
        """Returns the cost of so many epochs of each run."""
        return sum(self.cost[run] * count for run, count in epochs.items())


def _costs(rows: Iterable[Experiment], corpora: Corpora) -> dict[Experiment, int]:
    """Returns the cost of one clip in training for each row, up to a common factor."""
    rows = list(rows)
    if len(rows) == 1:
        return {rows[0]: 1}
    costs = {}
    for row in rows:
        classes = len(corpora(row).scenes)
        costs[row] = network_size.row_size(row, classes).training_cost
    return costs


def _no_bar(_description: str, _unit: str = "") -> Callable[..., None]:
    """Returns a function that draws nothing."""

    def update(_done: int, _total: int, _note: str = "") -> None:
        pass

    return update

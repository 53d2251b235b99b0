"""Starts child processes with the catalogue of this one, and trains runs in several of them."""

import contextlib
import dataclasses
import multiprocessing
import multiprocessing.connection
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crossask import locks, processors, system_errors
from crossask.child_processes import prepare_child
from crossask.config import Experiment, catalogue
from crossask.datasets import Corpus
from crossask.errors import CrossaskError, Preempted
from crossask.training.run_folder import Run

# A child process imports this module before it can ignore Ctrl-C, so the module must not import
# TensorFlow, which takes seconds.
if TYPE_CHECKING:
    from crossask.features.cache import FeatureCache

Connection = multiprocessing.connection.Connection
Report = Callable[[Run, int, str], None]
Outcome = dict[str, Any] | CrossaskError


@dataclasses.dataclass(frozen=True)
class Task:
    """One run to train.

    Attributes:
      run: The run.
      row: The row.
      corpus: The corpus.
      cache: Features of the corpus.
      paths: {"data_dir", "features_dir"}, recorded with the run.
      save_steps: See `crossask.training.Options`.
    """

    run: Run
    row: Experiment
    corpus: Corpus
    cache: "FeatureCache"
    paths: Mapping[str, str]
    save_steps: int = 0


def start_child(
    target: Callable[..., None], *arguments: Any
) -> tuple[multiprocessing.Process, Connection]:
    """Starts target(connection, *arguments) in a new process.

    Returns:
      The process, and this end of the connection, which closes when the process ends.
    """
    # A forked process would inherit TensorFlow's locks without its threads.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_run_child,
        args=(target, catalogue.added(), locks.waits(), theirs, *arguments),
        daemon=True,
    )
    process.start()
    # The child has the only other end now, so the connection closes with it.
    theirs.close()
    return process, ours


def train_side_by_side(
    tasks: Sequence[Task], jobs: int, report: Report
) -> Iterator[tuple[Run, Outcome]]:
    """Trains runs in `jobs` processes, each with its share of the cores.

    The processes end with this call, however it ends.

    Args:
      tasks: The runs.
      jobs: Number of processes.
      report: Called with (run, epochs done, loss and accuracy in words).

    Yields:
      Each run with its result, or with the CrossaskError that ended it.

    Raises:
      RuntimeError: A run ended with an error that is no mistake of the user.
    """
    pool = _Pool(tasks, jobs)
    try:
        pool.start_all()
        while pool.busy:
            yield from pool.wait(report)
    finally:
        pool.end()


class _Pool:
    """Processes that train runs, and the runs that have not begun.

    A process sends ("progress", epochs done, text) after each epoch, and at the end of a run
    ("outcome", its result or a CrossaskError) or ("bug", stack trace).
    """

    def __init__(self, tasks: Sequence[Task], jobs: int):
        self.jobs = jobs
        self.threads = max(1, processors.cores() // jobs)
        # The next run is the last of the list, where `pop` removes it.
        self.waiting = list(reversed(tasks))
        # Connection to a process -> the run that it trains.
        self.busy: dict[Connection, Task] = {}
        self.processes: list[multiprocessing.Process] = []

    def start_all(self) -> None:
        """Starts all processes."""
        for _ in range(self.jobs):
            self._start()

    def wait(self, report: Report) -> Iterator[tuple[Run, Outcome]]:
        """Waits for messages of the processes; yields the runs that have ended."""
        for connection in multiprocessing.connection.wait(list(self.busy)):
            run = self.busy[connection].run
            try:
                message = connection.recv()
            except (EOFError, OSError):
                # The process was killed. A new one trains the next run.
                del self.busy[connection]
                yield run, _killed(run)
                if self.waiting:
                    self._start()
                continue
            kind = message[0]
            if kind == "progress":
                _, epochs, note = message
                report(run, epochs, note)
                continue
            content = message[1]
            del self.busy[connection]
            self._assign(connection)
            if kind == "bug":
                raise RuntimeError(f"{run.folder} failed:\n{content}")
            yield run, content

    def end(self) -> None:
        """Ends all processes and waits for them."""
        for process in self.processes:
            process.terminate()
        for connection in self.busy:
            # A terminated process first saves the state of its run, or has just ended it. It may
            # send messages until it closes the connection.
            with contextlib.suppress(EOFError, OSError):
                while connection.recv()[0] == "progress":
                    pass
            connection.close()
        for process in self.processes:
            process.join()

    def _start(self) -> None:
        """Starts a process, and sends it a run."""
        process, connection = start_child(_train_tasks, self.threads)
        self.processes.append(process)
        self._assign(connection)

    def _assign(self, connection: Connection) -> None:
        """Sends the next run to a process; closes its connection if none is left."""
        if not self.waiting:
            connection.close()
            return
        task = self.waiting.pop()
        self.busy[connection] = task
        # If the process has ended, receiving from it reports that.
        with contextlib.suppress(OSError):
            connection.send(task)


def _killed(run: Run) -> CrossaskError:
    """Returns the error of a run whose process ended without a message."""
    return CrossaskError(
        f"The process that trained {run.folder} was killed.", "Free some memory or lower --jobs."
    )


def _train_tasks(connection: Connection, threads: int) -> None:
    """Trains the runs that arrive until the connection closes; runs in a process of its own."""
    prepare_child()
    from crossask.training import devices

    devices.limit_threads(threads)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            with system_errors.translated():
                outcome = _train(task, connection)
            connection.send(("outcome", outcome))
        except CrossaskError as error:
            connection.send(("outcome", error))
        except Preempted:
            return
        except Exception:
            connection.send(("bug", traceback.format_exc()))


def _train(task: Task, connection: Connection) -> dict[str, Any]:
    """Trains a run, sends its progress, and returns its result."""
    from crossask import training

    def report(epochs: int, _total: int, note: str) -> None:
        connection.send(("progress", epochs, note))

    options = training.Options(paths=task.paths, progress=report, save_steps=task.save_steps)
    return training.train(task.run, task.row, task.corpus, task.cache, options)


def _run_child(
    target: Callable[..., None], added: Sequence[catalogue.Entry], waits: bool, *arguments: Any
) -> None:
    """Calls the target of a child process with the parent's catalogue and treatment of locks.

    Args:
      target: The function.
      added: The parent's entries in the catalogue.
      waits: Whether the parent waits for locks.
      *arguments: Arguments of the function.
    """
    for entry in added:
        catalogue.register(entry)
    with locks.waiting(waits):
        target(*arguments)

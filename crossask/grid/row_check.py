"""Runs the stages of a row in a process of its own, and finds out how the process ended.

A row that runs out of memory, or is ended by a C++ library, affects nothing else.
"""

import concurrent.futures
import contextlib
import dataclasses
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from multiprocessing import Process
from pathlib import Path
from typing import Any

from crossask import files, system_errors
from crossask.child_processes import prepare_child
from crossask.errors import CrossaskError, Preempted
from crossask.grid.processes import Connection, start_child
from crossask.grid.row_stages import EpochClock, Task, stages
from crossask.grid.runs import StepTime

try:
    import resource
except ImportError:
    # Windows has no limits of processes.
    resource = None

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


def in_processes(tasks: list[Task], jobs: int) -> Iterator[Outcome]:
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


def _outcome(task: Task, processes: list[Process], cancelled: threading.Event) -> Outcome | None:
    """Runs one row in its own process. Returns None if the check was cancelled."""
    task.folder.mkdir()
    start = time.monotonic()
    process, connection = start_child(check_row, task)
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


def _failure(task: Task, stage: str, kind: str, trace: Any, exit_code: int) -> CrossaskError:
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


def check_row(connection: Connection, task: Task) -> None:
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
    clock = EpochClock()
    try:
        for stage in stages(task, clock):
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


def _is_out_of_memory(error: Exception) -> bool:
    """Returns whether an error was raised because memory ran out."""
    import tensorflow as tf

    if isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
        return True
    # This error is also that of a full disk and of too many open files.
    is_exhausted = isinstance(error, tf.errors.ResourceExhaustedError)
    return is_exhausted and system_errors.translate(error) is None


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

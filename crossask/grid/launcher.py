"""Several processes of this machine that train one model together.

TensorFlow's MultiWorkerMirroredStrategy cannot go on without one of its processes. So all of them
are started again when one ends early, and continue from the checkpoint in the run's folder. On a
cluster, its scheduler does the same: it starts one process a machine, each with its own TF_CONFIG.
"""

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO

from crossask.child_processes import ending_with_parent
from crossask.errors import CrossaskError

# Exit codes that a restart would not change: a user's mistake, and failed runs.
NOT_RESTARTED = (2, 3)
# From SIGTERM to SIGKILL.
PATIENCE_SECONDS = 20
# Lines at the end of the output of a process that failed, at most.
SHOWN_LINES = 20
SECONDS_BETWEEN_LOOKS = 0.05


@dataclasses.dataclass(frozen=True)
class _Failure:
    """A process that ended early.

    Attributes:
      number: Number of the process.
      code: Its exit code.
      output: The end of its output; "" for the first process, whose output is shown.
    """

    number: int
    code: int
    output: str

    @property
    def text(self) -> str:
        """How the process ended, in words."""
        if self.code < 0:
            return f"was killed by signal {-self.code}"
        return f"ended with {self.code}"


def launch_processes(
    command: Sequence[str],
    processes: int,
    restarts: int = 3,
    log: Callable[[str], None] = print,
) -> int:
    """Runs a command in several processes side by side, each with its TF_CONFIG, until all succeed.

    The whole output of the first process is shown, and the end of the output of another one that
    fails.

    Args:
      command: Program and arguments.
      processes: Number of processes.
      restarts: How often all processes are started again after one has failed or was killed.
      log: Called with messages.

    Returns:
      0, or the exit code of a process that ended with 2 (a user's mistake) or 3 (some runs failed).

    Raises:
      CrossaskError: A process failed more than `restarts` times, or the command cannot be run.
    """
    failure = None
    for attempt in range(restarts + 1):
        failure = _run_once(command, processes)
        if failure is None:
            return 0
        if failure.output:
            log(failure.output)
        if failure.code in NOT_RESTARTED:
            return failure.code
        if attempt < restarts:
            log(
                f"Process {failure.number} of {processes} {failure.text}; all are started again "
                f"({attempt + 1} of {restarts})."
            )
    raise CrossaskError(
        f"Process {failure.number} of {processes} {failure.text}, after {restarts} restarts.",
        "See its last lines above.",
    )


def _run_once(command: Sequence[str], processes: int) -> _Failure | None:
    """Runs all processes; returns the first that fails, or None if all succeed."""
    addresses = [f"localhost:{port}" for port in _free_ports(processes)]
    started: list[subprocess.Popen] = []
    with contextlib.ExitStack() as resources:
        outputs: list[IO[str] | None] = [None]
        for _ in range(1, processes):
            outputs.append(resources.enter_context(tempfile.TemporaryFile("w+", errors="replace")))
        resources.callback(_end, started)
        for number, output in enumerate(outputs):
            started.append(_start(command, addresses, number, output))
        return _wait(started, outputs)


def _start(
    command: Sequence[str], addresses: list[str], number: int, output: IO[str] | None
) -> subprocess.Popen:
    """Starts process `number`, which writes to `output`, or to this process's own output if None.

    Raises:
      CrossaskError: The command cannot be run.
    """
    settings = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
    environment = {**os.environ, "TF_CONFIG": json.dumps(settings)}
    try:
        return subprocess.Popen(
            command,
            env=environment,
            stdout=output,
            stderr=output,
            # Without this, the processes would outlive a launcher that is killed.
            preexec_fn=ending_with_parent(),
        )
    except OSError as error:
        raise CrossaskError(
            f"{command[0]} cannot be run: {error.strerror}.", "Give a command after the flags."
        ) from error


def _wait(started: list[subprocess.Popen], outputs: list[IO[str] | None]) -> _Failure | None:
    """Waits until all processes have succeeded (None) or one has failed."""
    while True:
        codes = [process.poll() for process in started]
        for number, code in enumerate(codes):
            if code:
                return _Failure(number, code, _last_lines(outputs[number]))
        if all(code == 0 for code in codes):
            return None
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _end(started: list[subprocess.Popen]) -> None:
    """Ends processes with SIGTERM, and after some seconds with SIGKILL."""
    for process in started:
        process.terminate()
    deadline = time.monotonic() + PATIENCE_SECONDS
    for process in started:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_lines(output: IO[str] | None) -> str:
    """Returns the last SHOWN_LINES lines of an output file; "" without a file."""
    if output is None:
        return ""
    output.seek(0)
    return "".join(output.readlines()[-SHOWN_LINES:]).rstrip()


def _free_ports(count: int) -> list[int]:
    """Returns ports that are free now; all are open at once, so they differ."""
    ports = []
    with contextlib.ExitStack() as opened:
        for _ in range(count):
            server = opened.enter_context(socket.create_server(("localhost", 0)))
            ports.append(server.getsockname()[1])
    return ports

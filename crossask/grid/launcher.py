"""Several processes of this machine that train one model together, all started again when one of them ends too early.

TensorFlow's MultiWorkerMirroredStrategy cannot go on without one of its processes, and the run's folder holds where to go on.
On a cluster its scheduler does the same: it starts one process a machine, each with its own TF_CONFIG.
"""

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time

from crossask.errors import CrossaskError

LASTING = (2, 3)  # a user's mistake, runs that failed: would only happen again
PATIENCE_SECONDS = 20  # from SIGTERM to SIGKILL
SHOWN_LINES = 20


def launch_processes(command: list[str], processes: int, restarts: int = 3, tell=print) -> int:
    """Runs `command` so many times side by side, each with its TF_CONFIG, until all have ended well.

    The first one's output is shown; of the others, the end of what they wrote where one fails.

    Args:
      restarts: how often all are started again after one has failed or been killed.
      tell: called with what happened, in words.

    Returns:
      0; or the exit code of a process that ended with 2 (a user's mistake) or 3 (some runs failed).

    Raises:
      CrossaskError: it failed once more than `restarts`, or the command cannot be run.
    """
    for attempt in range(restarts + 1):
        failed = _run_once(command, processes)
        if failed is None:
            return 0
        number, code, end = failed
        if end:
            tell(end)
        if code in LASTING:
            return code
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        if attempt < restarts:
            tell(
                f"Process {number} of {processes} {how}; all start again ({attempt + 1} of {restarts})."
            )
    raise CrossaskError(
        f"Process {number} of {processes} {how}, after {restarts} restarts.",
        "See its last lines above.",
    )


def _run_once(command, processes: int):
    """None, or (number, exit code, last lines) of the first process that failed."""
    cluster = {"worker": [f"localhost:{port}" for port in _free_ports(processes)]}
    started = []
    with contextlib.ExitStack() as opened:
        outputs = [None] + [
            opened.enter_context(tempfile.TemporaryFile("w+", errors="replace"))
            for _ in range(1, processes)
        ]
        opened.callback(_end, started)
        for number, output in enumerate(outputs):
            place = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": number}})
            try:
                process = subprocess.Popen(
                    command, env=os.environ | {"TF_CONFIG": place}, stdout=output, stderr=output
                )
            except OSError as error:
                raise CrossaskError(
                    f"{command[0]} cannot be run: {error.strerror}.",
                    "Give a command after the flags.",
                ) from error
            started.append(process)
        while True:
            codes = [process.poll() for process in started]
            for number, code in enumerate(codes):
                if code:
                    return number, code, _last_lines(outputs[number])
            if codes == [0] * processes:
                return None
            time.sleep(0.05)


def _end(started):
    for process in started:
        process.terminate()
    deadline = time.monotonic() + PATIENCE_SECONDS
    for process in started:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_lines(output) -> str:
    if output is None:
        return ""
    output.seek(0)
    return "".join(output.readlines()[-SHOWN_LINES:]).rstrip()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports

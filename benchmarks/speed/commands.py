"""Commands that are measured from the start of their process to its end."""

import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from crossask.errors import CrossaskError
from speed import rounds


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a command used.

    Attributes:
      seconds: Duration from the start of its process to its end.
      own: Seconds of cores that it had.
      peak_bytes: Peak memory of its process.
    """

    seconds: float
    own: float
    peak_bytes: int


def crossask(*words: str) -> list[str]:
    """Returns the words of a command of this environment."""
    return [str(Path(sys.executable).with_name("crossask")), *words]


def run(words: Sequence[str], cores: Sequence[int]) -> Usage:
    """Runs a command on some cores.

    Raises:
      CrossaskError: It failed.
    """
    with tempfile.TemporaryFile("w+") as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            list(words),
            stdout=log,
            stderr=log,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise CrossaskError(
                f"{' '.join(words)} ended with exit code {process.returncode}.\n{log.read()}",
                "Run it alone to see why.",
            )
    return Usage(seconds, used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss)


def seconds(words: Sequence[str], cores: Sequence[int], length: rounds.Length) -> float | None:
    """Returns the median duration of a command on one core over the runs that count.

    A run counts if its process had 93 % of its core. The result is None if no run counts.
    """
    counted = []
    run(words, cores)  # The first run reads its files from the disk.
    for _ in range(length.most):
        usage = run(words, cores)
        if usage.own >= rounds.LEAST_SHARE * usage.seconds:
            counted.append(usage.seconds)
        if len(counted) == length.counted:
            break
    return statistics.median(counted) if counted else None

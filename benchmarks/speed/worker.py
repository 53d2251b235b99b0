"""One side of a measurement, in a process of its own.

  python -m speed.worker MODULE CORES OPTIONS

MODULE has a function `create(options)` that returns a `Task`. CORES are numbers of cores,
separated by commas, and OPTIONS are JSON. For each line of standard input the process prints a
line of JSON: for "outputs PATH" after it wrote the task's numbers into an .npz, for "go SECONDS"
what the repetitions of at least so many seconds took. Both environments run this module.
"""

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from speed.task import Task

# Fields of /proc/stat that count time in which a core worked: user, nice, system, interrupts, and
# what other guests of the machine took.
BUSY_FIELDS = (0, 1, 2, 5, 6, 7)


def serve(task: Task, cores: list[int], requests: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yields the response to each request.

    Args:
      task: The work.
      cores: Numbers of the cores on which it runs.
      requests: "outputs PATH" or "go SECONDS".
    """
    for request in requests:
        word, argument = request.split(maxsplit=1)
        if word == "outputs":
            np.savez(argument.strip(), **task.outputs())
            yield {}
        else:
            yield measure(task, cores, float(argument))


def measure(task: Task, cores: list[int], seconds: float) -> dict[str, float]:
    """Repeats a task for at least `seconds`.

    Returns:
      "units" done, "wall" seconds, "own" seconds of cores that this process had, "others": seconds
      of the given cores that other processes had, "peak_bytes" of memory so far, "operations" of a
      unit.
    """
    busy = busy_seconds(cores)
    own = time.process_time()
    start = time.perf_counter()
    units = task.repeat()
    while time.perf_counter() - start < seconds:
        units += task.repeat()
    wall = time.perf_counter() - start
    own = time.process_time() - own
    return {
        "units": units,
        "wall": wall,
        "own": own,
        "others": max(0.0, busy_seconds(cores) - busy - own),
        "operations": task.operations,
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def busy_seconds(cores: list[int]) -> float:
    """Returns the seconds that the cores have worked since the machine started."""
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            ticks += sum(int(fields[number]) for number in BUSY_FIELDS)
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Parses the command line, creates the task and serves requests."""
    module, core_numbers, options = sys.argv[1:]
    cores = [int(number) for number in core_numbers.split(",")]
    # Before the libraries are imported: they count the cores that they may use.
    os.sched_setaffinity(0, cores)
    # What libraries print must not end up among the responses.
    responses = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    task = importlib.import_module(module).create(json.loads(options) | {"cores": len(cores)})
    task.repeat()  # The first repetition prepares graphs.
    print("{}", file=responses, flush=True)
    for response in serve(task, cores, sys.stdin):
        print(json.dumps(response), file=responses, flush=True)


if __name__ == "__main__":
    main()

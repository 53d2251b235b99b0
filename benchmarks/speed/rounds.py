"""Two or more sides of a measurement, compared first and then measured in turn.

The sides are warm processes on the same cores. They take turns, A B C A B C, so that a busy moment
of the machine affects all of them. A turn counts if its process had its cores: see `was_alone`.
"""

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossask.errors import CrossaskError

BENCHMARKS = Path(__file__).parents[1]
# The share of its core that a process must have had for its round to count.
LEAST_SHARE = 0.93

Figures = dict[str, Any]
# One turn of each side, as `speed.worker.measure` returns it.
Turns = Sequence[Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class Side:
    """One side of a measurement.

    Attributes:
      name: Name in the tables: "crossask" or that of a peer.
      python: The Python that runs it.
      module: Module with the function `create`.
      options: What `create` is given.
    """

    name: str
    python: str
    module: str
    options: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Length:
    """How long is measured.

    Attributes:
      round_seconds: Least duration of one turn.
      counted: Rounds that are wanted in which all sides had their cores.
      most: Rounds at most.
    """

    round_seconds: float
    counted: int
    most: int


FULL = Length(round_seconds=1.0, counted=7, most=20)
SHORT = Length(round_seconds=0.2, counted=1, most=2)


def compare(
    sides: Sequence[Side],
    tolerances: Mapping[str, float],
    length: Length,
    cores: Sequence[int],
) -> Figures:
    """Checks that all sides compute the same, and measures them in turn.

    Args:
      sides: The sides; the first one is crossask's, to which the others are compared.
      tolerances: Name of an output -> the largest mean difference from crossask's output that is
        allowed, as a share of the mean absolute value.
      length: How long is measured.
      cores: Numbers of the cores on which each side runs.

    Returns:
      See `summary`; "differences" are those that were found, by peer and output.

    Raises:
      CrossaskError: A side ended early, or computes other numbers; nothing is measured then.
    """
    workers = []
    try:
        for side in sides:
            workers.append(_Worker(side, cores))
            # The first side writes the weights that the others read.
            workers[-1].read()
        differences = _differences(workers, tolerances)
        rounds = []
        counted = 0
        while len(rounds) < length.most and counted < length.counted:
            turns = [worker.request(f"go {length.round_seconds}") for worker in workers]
            rounds.append(turns)
            if counts(turns, len(cores)):
                counted += 1
    finally:
        for worker in workers:
            worker.end()
    names = [side.name for side in sides]
    return summary(names, rounds, len(cores)) | {"differences": differences}


def was_alone(turn: Mapping[str, float], cores: int) -> bool:
    """Returns whether a process had its cores for itself during its turn.

    On one core, the process worked for at least 93 % of the time. On several cores it need not use
    them all; there, other processes used at most 7 % of them.
    """
    if cores == 1:
        return turn["own"] >= LEAST_SHARE * turn["wall"]
    return turn["others"] <= (1 - LEAST_SHARE) * cores * turn["wall"]


def counts(turns: Turns, cores: int) -> bool:
    """Returns whether a round counts: whether each process had its cores during its turn."""
    return all(was_alone(turn, cores) for turn in turns)


def summary(names: Sequence[str], rounds: Sequence[Turns], cores: int) -> Figures:
    """Returns the figures of a measurement.

    Args:
      names: Names of the sides; the first one is crossask's.
      rounds: For each round, the turns of the sides in order.
      cores: Number of cores on which each side ran.

    Returns:
      "rounds" measured and "counted", and "sides": name -> figures of `_side`.
    """
    counted = [turns for turns in rounds if counts(turns, cores)]
    sides = {}
    for number, name in enumerate(names):
        sides[name] = _side(number, rounds, counted)
    return {"rounds": len(rounds), "counted": len(counted), "sides": sides}


def _side(number: int, rounds: Sequence[Turns], counted: Sequence[Turns]) -> Figures:
    """Returns the figures of the side with this number.

    Returns:
      "seconds" for one unit, the median over the rounds that count; "cpu_seconds", the time of its
      cores for one unit, the median over all rounds; "operations" of a unit; "peak_bytes". For
      peers, "ratio" is the median over the rounds that count of its seconds divided by crossask's,
      with "ratio_low" and "ratio_high", the quartiles, and "cpu_ratio" that of the time of its
      cores over all rounds. Seconds and ratios are None if no round counts.
    """
    seconds = [_of_unit(turns[number], "wall") for turns in counted]
    cpu_seconds = [_of_unit(turns[number], "own") for turns in rounds]
    figures = {
        "seconds": _median(seconds),
        "cpu_seconds": _median(cpu_seconds),
        "operations": rounds[0][number]["operations"],
        "peak_bytes": max(turns[number]["peak_bytes"] for turns in rounds),
    }
    if number > 0:
        our_seconds = [_of_unit(turns[0], "wall") for turns in counted]
        our_cpu_seconds = [_of_unit(turns[0], "own") for turns in rounds]
        ratios = [peer / ours for peer, ours in zip(seconds, our_seconds, strict=True)]
        cpu_ratios = [peer / ours for peer, ours in zip(cpu_seconds, our_cpu_seconds, strict=True)]
        figures |= {
            "ratio": _median(ratios),
            "ratio_low": _quantile(ratios, 0.25),
            "ratio_high": _quantile(ratios, 0.75),
            "cpu_ratio": _median(cpu_ratios),
        }
    return figures


def _of_unit(turn: Mapping[str, float], clock: str) -> float:
    """Returns the seconds of a clock, "wall" or "own", for one unit."""
    return turn[clock] / turn["units"]


def ratio_on_one_core(of_work: Mapping[str, Figures], name: str) -> float | None:
    """Returns the ratio of a side on one core; None if there is none.

    Args:
      of_work: Number of cores -> figures of `compare`.
      name: Name of the side.
    """
    sides = of_work.get("one core", {}).get("sides", {})
    return sides.get(name, {}).get("ratio")


class _Worker:
    """A process that runs `speed.worker` for one side."""

    def __init__(self, side: Side, cores: Sequence[int]):
        self.side = side
        threads = str(len(cores))
        environment = os.environ | {
            "PYTHONPATH": f"{BENCHMARKS}{os.pathsep}{BENCHMARKS.parent}",
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        numbers = ",".join(str(core) for core in cores)
        options = json.dumps(dict(side.options))
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (`end` closes it)
        self.process = subprocess.Popen(
            [side.python, "-m", "speed.worker", side.module, numbers, options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment,
        )

    def request(self, line: str) -> Figures:
        """Sends a line to the process and returns its response."""
        # What a process that ended has written is read below.
        with contextlib.suppress(BrokenPipeError):
            print(line, file=self.process.stdin, flush=True)
        return self.read()

    def read(self) -> Figures:
        """Returns the next response of the process.

        Raises:
          CrossaskError: The process has ended.
        """
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            last = self.log.read().strip().splitlines()[-12:]
            raise CrossaskError(
                f"{self.side.module} ended early.\n" + "\n".join(last),
                f"See whether {self.side.python} has the packages of benchmarks/peers.txt.",
            )
        return json.loads(line)

    def end(self) -> None:
        """Ends the process."""
        # Closing writes again what an ended process did not read.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


def _differences(
    workers: Sequence[_Worker], tolerances: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Returns the differences between the outputs of crossask and each peer.

    Raises:
      CrossaskError: A difference is larger than its tolerance.
    """
    outputs = []
    with tempfile.TemporaryDirectory() as folder:
        for number, worker in enumerate(workers):
            path = Path(folder) / f"{number}.npz"
            worker.request(f"outputs {path}")
            with np.load(path) as arrays:
                outputs.append(dict(arrays))
    found = {}
    for worker, of_peer in zip(workers[1:], outputs[1:], strict=True):
        found[worker.side.name] = {}
        for name, tolerance in tolerances.items():
            difference = relative_difference(outputs[0][name], of_peer[name])
            found[worker.side.name][name] = difference
            # Written so that NaN, which is not below any number, is an error, too.
            if not difference <= tolerance:
                raise CrossaskError(
                    f"{worker.side.name} computes another {name} than crossask: the mean "
                    f"difference is {difference:.2g} of the mean value, and {tolerance:g} is "
                    "allowed.",
                    f"Compare speed/ and {worker.side.module}; nothing was measured.",
                )
    return found


def relative_difference(ours: np.ndarray, other: np.ndarray) -> float:
    """Returns the mean absolute difference as a share of the mean absolute value.

    Raises:
      CrossaskError: The shapes differ.
    """
    if ours.shape != other.shape:
        raise CrossaskError(
            f"A peer's output has the shape {other.shape}, crossask's {ours.shape}.",
            "Compare both sides; nothing was measured.",
        )
    ours = ours.astype(np.float64)
    return float(np.abs(ours - other).mean() / np.abs(ours).mean())


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _quantile(values: Sequence[float], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None

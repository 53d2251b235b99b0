"""What both sides of a measurement have in common: a task that is repeated.

Both environments import this module, so it needs NumPy alone.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Task:
    """The work of one side, ready to be repeated.

    Attributes:
      repeat: Does the work once and returns how many units it did (files, clips, steps).
      outputs: Returns the numbers by which the sides are compared before anything is measured.
      operations: Floating-point operations of a unit in products and convolutions; 0 if unknown.
    """

    repeat: Callable[[], int]
    outputs: Callable[[], Arrays] = dict
    operations: int = 0


def of_files(compute: Callable[[str], Arrays], paths: Sequence[str]) -> Task:
    """Returns a task that computes something of each file; the first file's is compared."""

    def repeat() -> int:
        for path in paths:
            compute(path)
        return len(paths)

    return Task(repeat, lambda: compute(paths[0]))

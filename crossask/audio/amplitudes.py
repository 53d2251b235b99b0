"""Checks that numbers are samples of a waveform. Imports no TensorFlow."""

import os

import numpy as np

from crossask.errors import AudioError

# Full scale is 1, and processing may exceed it. Amplitudes from this limit on are refused: an
# integer that was not divided by its full scale is larger in all but the quietest recordings.
LIMIT = 8.0


def check(waveform: np.ndarray, name: str | os.PathLike[str]) -> None:
    """Raises AudioError unless all samples are finite and below LIMIT in amplitude.

    Args:
      waveform: Waveform of any shape.
      name: Name of the recording in the error message.
    """
    # The largest and the smallest sample are NaN if any sample is.
    highest = float(waveform.max(initial=0.0))
    lowest = float(waveform.min(initial=0.0))
    largest = max(highest, -lowest)
    if not np.isfinite(largest):
        raise AudioError(
            f"{name} contains samples that are not finite numbers.", "Write or compute it again."
        )
    # Models read 32-bit floats, in which 7.9999999 is 8, and very large numbers are infinite.
    with np.errstate(over="ignore"):
        is_too_large = np.float32(largest) >= LIMIT
    if is_too_large:
        raise AudioError(
            f"{name} has a sample of amplitude {largest:g}.",
            "Scale the samples to -1..1; divide 16-bit integers by 32768.",
        )


def below_limit(waveform: np.ndarray) -> np.ndarray:
    """Returns a waveform that a filter has changed, with amplitudes below LIMIT.

    A filter rings at steep edges, so that its output can exceed the largest sample of its input.
    """
    largest = np.nextafter(np.float32(LIMIT), np.float32(0))
    return np.clip(waveform, -largest, largest)

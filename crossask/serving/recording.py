"""A recording whose scene is being predicted: reads a sound file or an array piece by piece."""

import math
import numbers
import os
from collections.abc import Iterator

import numpy as np

from crossask import files
from crossask.audio import amplitudes, rates, reading
from crossask.audio.remarks import Remarks
from crossask.errors import AudioError
from crossask.serving.results import Segment

# A recording: the path of a sound file, or a waveform [samples] or [samples, channels].
Source = str | os.PathLike | np.ndarray


class Recording:
    """A recording whose scene is being predicted.

    Attributes:
      source: Path of a sound file, or an array.
      name: Its name in messages.
      own_rate_hz: Its sample rate in Hz; of a file, it is set when the file is opened.
      sample_rate_hz: Sample rate in Hz at which the model reads it; set with the first window.
      unclassified: Number of windows that wait in a batch.
      timeline: The classified windows.
      filled_seconds: Seconds by which the recording was filled up to a window.
      remarks: What is unusual about it.
      error: Why the recording cannot be used, if it cannot.
    """

    def __init__(self, source: Source, sample_rate_hz: int | None):
        self.source = source
        self.is_array = isinstance(source, np.ndarray)
        self.name = "the array" if self.is_array else str(source)
        self.own_rate_hz = sample_rate_hz
        self.sample_rate_hz = sample_rate_hz
        self.unclassified = 0
        self.timeline: list[Segment] = []
        self.filled_seconds = 0.0
        self.remarks = Remarks()
        self.error: AudioError | None = None
        # Of a file when it is first read: its absolute path, and its size and time of change.
        self._path = ""
        self._state: tuple[int, int] | None = None

    @property
    def is_done(self) -> bool:
        """Whether all windows are classified, or an error makes them useless."""
        return self.error is not None or self.unclassified == 0

    def read_blocks(self, seconds: float) -> Iterator[np.ndarray]:
        """Returns the waveform as blocks [samples, channels]; those of a file last `seconds`."""
        if self.is_array:
            self._check_array()
            return self.remarks.add_each(self._blocks_of_array(seconds))
        if not isinstance(self.source, str | os.PathLike):
            raise AudioError(
                f"A recording has the type {type(self.source).__name__}.",
                "Give the path of a sound file, or a NumPy array with sample_rate_hz.",
            )
        self._path = os.path.abspath(self.source)
        self._state = files.state_of(self._path)
        blocks, self.own_rate_hz = reading.read_blocks(self.source, seconds, self.remarks)
        return blocks

    def read_part(self, start_seconds: float, end_seconds: float) -> np.ndarray:
        """Returns the waveform [samples, channels] between two moments, as the model reads it.

        Raises:
          AudioError: The file cannot be read any more, or has changed since `read_blocks`.
        """
        to_hz = self.sample_rate_hz
        if self.own_rate_hz == to_hz:
            return self._samples(round(start_seconds * to_hz), round(end_seconds * to_hz))
        # A second more on either side contains everything that the filter of the conversion needs.
        # At whole seconds, there is a sample at both rates.
        first_second = max(0, math.floor(start_seconds) - 1)
        last_second = math.ceil(end_seconds) + 1
        part = self._samples(first_second * self.own_rate_hz, last_second * self.own_rate_hz)
        converted = rates.convert(part, self.own_rate_hz, to_hz)
        start = round(start_seconds * to_hz) - first_second * to_hz
        end = round(end_seconds * to_hz) - first_second * to_hz
        return converted[start:end]

    def _samples(self, start: int, end: int) -> np.ndarray:
        """Returns samples of the recording at its own rate."""
        if self.is_array:
            return self._columns()[start:end]
        # The current folder may be another one than at the first time.
        has_moved = os.path.abspath(self.source) != self._path
        path = self._path if has_moved else self.source
        state = files.state_of(path)
        if state is not None and state != self._state:
            raise AudioError(
                f"{path} has changed since its scene was predicted.", "Predict its scene again."
            )
        return reading.read_part(path, start, end)

    def _blocks_of_array(self, seconds: float) -> Iterator[np.ndarray]:
        """Yields the array in blocks [samples, channels]."""
        columns = self._columns()
        length = max(1, round(seconds * self.own_rate_hz))
        for start in range(0, len(columns), length):
            yield columns[start : start + length]

    def _columns(self) -> np.ndarray:
        """Returns the array as [samples, channels]."""
        if self.source.ndim == 1:
            return self.source[:, np.newaxis]
        return self.source

    def _check_array(self) -> None:
        """Raises AudioError unless the array is a waveform with a sample rate."""
        array = self.source
        if np.ma.isMaskedArray(array):
            raise AudioError(
                "The array is masked, and a masked sample has no value.",
                "Fill it, for example with array.filled(0).",
            )
        if self.own_rate_hz is None:
            raise AudioError("An array was given without its sample rate.", "Set sample_rate_hz.")
        self.own_rate_hz = _whole_rate(self.own_rate_hz)
        has_shape = array.ndim in (1, 2) and self._columns().shape[1] in (1, 2)
        has_floats = np.issubdtype(array.dtype, np.floating)
        if not (has_shape and has_floats):
            raise AudioError(
                f"The array is {array.dtype} of shape {array.shape}.",
                "Use floats in -1..1, [samples] or [samples, channels] with 1 or 2 channels.",
            )
        amplitudes.check(array, self.name)


def _whole_rate(sample_rate_hz: float) -> int:
    """Returns the sample rate of an array as an integer; AudioError if it is not usable."""
    # Some libraries return 44100.0. Of text and other objects, the comparison is not possible.
    is_number = isinstance(sample_rate_hz, numbers.Real)
    is_usable = is_number and reading.LEAST_RATE_HZ <= sample_rate_hz <= reading.MOST_RATE_HZ
    if not is_usable or sample_rate_hz != round(sample_rate_hz):
        raise AudioError(
            f"The array has a sample rate of {sample_rate_hz!r} Hz.",
            "Set sample_rate_hz to that of the recording, an integer from "
            f"{reading.LEAST_RATE_HZ} to {reading.MOST_RATE_HZ}.",
        )
    return round(sample_rate_hz)

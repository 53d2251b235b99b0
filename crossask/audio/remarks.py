"""Detects what makes the prediction for a recording doubtful. Imports no TensorFlow."""

import dataclasses
import logging
import math
import os
from collections.abc import Iterable, Iterator

import numpy as np

from crossask.audio import notices

# A sound below this level is silent. The quietest of 514 real recordings of scenes and events has
# -75 dBFS; dithered 16-bit noise has about -96 dBFS.
SILENCE_DBFS = -80.0
# Level of a recording without any sound, instead of minus infinity.
LEAST_DBFS = -200.0
SIDES = ("left", "right")
# A silent channel is dead if the other one is at least this much louder.
_DEAD_DB = 40.0
# Two channels have opposite polarity if their mean is at least this much quieter than they are. For
# channels without anything in common, it is 3 dB quieter.
_OPPOSITE_DB = 20.0
# A file ends early if it lacks this share of what its header promises, and so many seconds.
_MISSING_SHARE = 0.01
_MISSING_SECONDS = 0.25


@dataclasses.dataclass(frozen=True)
class Remark:
    """Something unusual.

    Attributes:
      kind: Its kind; of recordings in a training corpus, each kind is logged once.
      text: The rest of a sentence that begins with the name of the recording, without a full stop.
    """

    kind: str
    text: str


class Remarks:
    """Detects what is unusual about a recording while it is read block by block.

    These are dead channels, channels of opposite polarity, silence and a missing end.
    """

    def __init__(self) -> None:
        self._header_remark = ""
        self._promised_seconds = 0.0
        self._rate_hz = 0
        self._seconds: float | None = None
        self._samples = 0
        # Sums of each channel [channels], of the samples and of their squares.
        self._sums = np.zeros(0)
        self._squares = np.zeros(0)
        # Sum of the products of the samples of two channels.
        self._products = 0.0
        self._largest_power = 0.0

    @property
    def loudest_dbfs(self) -> float:
        """Level of the loudest block, the mean of its channels; a constant offset does not count.

        It is that of the samples in the file: a conversion of the rate rings at the steps of an
        offset.
        """
        return level_dbfs(self._largest_power)

    def set_header(
        self,
        header_remark: str,
        promised_seconds: float,
        rate_hz: int,
        seconds: float | None = None,
    ) -> None:
        """Stores facts of the header.

        Args:
          header_remark: See `sndfile.SoundFile`.
          promised_seconds: See `sndfile.SoundFile`.
          rate_hz: Sample rate.
          seconds: Length of the recording; None if all of its blocks are added.
        """
        self._seconds = seconds
        self._header_remark = header_remark
        self._promised_seconds = promised_seconds
        self._rate_hz = rate_hz

    def add_each(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields the blocks [samples, channels] of a recording, after adding each."""
        for block in blocks:
            self.add(block)
            yield block

    def add(self, block: np.ndarray) -> None:
        """Adds the next block [samples, channels] to the sums from which levels are computed."""
        if not len(self._sums):
            self._sums = np.zeros(block.shape[1])
            self._squares = np.zeros(block.shape[1])
        sums, squares = _sums_of(block)
        self._samples += len(block)
        self._sums += sums
        self._squares += squares
        if block.shape[1] == 2:
            self._products += _sum_of_products(block[:, 0], block[:, 1])
        self._largest_power = max(self._largest_power, _power(sums, squares, len(block)))

    def found(self) -> list[Remark]:
        """Returns what is unusual; called after the last block."""
        remarks = []
        if self._header_remark:
            # What follows a colon differs between recordings.
            kind, _, _ = self._header_remark.partition(":")
            remarks.append(Remark(kind, self._header_remark))
        if self._rate_hz:
            seconds = self._seconds
            if seconds is None:
                seconds = self._samples / self._rate_hz
            missing = self._promised_seconds - seconds
            if missing > max(_MISSING_SECONDS, _MISSING_SHARE * self._promised_seconds):
                text = (
                    f"ends after {seconds:.3g} s instead of the {self._promised_seconds:.3g} s in "
                    "its header: the rest is missing"
                )
                remarks.append(Remark("ends early", text))
        dead = self._dead_channel()
        if dead is not None:
            remarks.append(
                Remark(
                    "dead channel",
                    f"has a silent {SIDES[dead]} channel. If the recording is mono, write it with "
                    "one channel, which the model then reads in both",
                )
            )
        elif self._has_opposite_channels():
            remarks.append(
                Remark(
                    "opposite polarity",
                    "has channels of opposite polarity, as of a balanced microphone at a stereo "
                    "input. Their mean, which event models and models of mono read, is nearly "
                    "silent. Write one of the channels alone",
                )
            )
        return remarks

    def log_once(self, name: str | os.PathLike[str]) -> None:
        """Logs what is unusual, and silence, once for each kind."""
        remarks = self.found()
        if self._samples and self.loudest_dbfs < SILENCE_DBFS:
            remarks.append(Remark("silence", f"is silent (level {self.loudest_dbfs:.0f} dBFS)"))
        for remark in remarks:
            notices.log_once(
                remark.kind,
                logging.WARNING,
                "%s %s. Other such recordings are not logged.",
                name,
                remark.text,
            )

    def _powers(self) -> np.ndarray:
        """Returns the variance of each channel, [channels]; there must be samples."""
        means = self._sums / self._samples
        return self._squares / self._samples - means**2

    def _levels_dbfs(self) -> list[float]:
        """Returns the level of each channel."""
        if not self._samples:
            return []
        return [level_dbfs(power) for power in self._powers()]

    def _dead_channel(self) -> int | None:
        """Returns the number of the channel that is silent while the other is not."""
        levels = self._levels_dbfs()
        if len(levels) != 2:
            return None
        dead = int(np.argmin(levels))
        if levels[dead] >= SILENCE_DBFS or levels[1 - dead] < levels[dead] + _DEAD_DB:
            return None
        return dead

    def _has_opposite_channels(self) -> bool:
        """Returns whether the mean of two channels is far quieter than they are."""
        if len(self._sums) != 2 or not self._samples:
            return False
        powers = self._powers()
        left, right = self._sums / self._samples
        covariance = self._products / self._samples - left * right
        power_of_mean = (powers.sum() + 2 * covariance) / 4
        level = level_dbfs(powers.mean())
        return level >= SILENCE_DBFS and level_dbfs(power_of_mean) <= level - _OPPOSITE_DB


def level_of(waveform: np.ndarray) -> float:
    """Returns the level of a waveform [samples, channels] in dBFS.

    It is that of the mean power of its channels; a constant offset does not count.
    """
    sums, squares = _sums_of(waveform)
    return level_dbfs(_power(sums, squares, len(waveform)))


def level_dbfs(power: float) -> float:
    """Returns the level of a mean square in dB relative to an amplitude of 1."""
    if power <= 0:
        return LEAST_DBFS
    return max(10 * math.log10(power), LEAST_DBFS)


def _sums_of(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sums of the samples of each channel and of their squares, both [channels]."""
    sums = np.zeros(block.shape[1])
    squares = np.zeros(block.shape[1])
    # One channel after the other, in double precision: NumPy is slow along an axis of two, and a
    # copy of the block would take longer than the sums.
    for number, channel in enumerate(block.T):
        sums[number] = channel.sum(dtype=np.float64)
        squares[number] = _sum_of_products(channel, channel)
    return sums, squares


def _sum_of_products(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the sum of the products of the samples of two channels, in double precision."""
    return float(np.einsum("s,s->", one, other, dtype=np.float64, casting="same_kind"))


def _power(sums: np.ndarray, squares: np.ndarray, samples: int) -> float:
    """Returns the mean over the channels of the variances of `samples` samples."""
    return float((squares / samples - (sums / samples) ** 2).mean())

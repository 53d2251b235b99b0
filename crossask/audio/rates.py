"""Converts sample rates that the resampler in the graph does not have, with soxr, before it.

The resampler in the graph (`resampling`) has a filter for each of ten rates. A recording of another
rate is converted to one of them first, in training and in prediction alike. Imports no TensorFlow.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from crossask.audio import amplitudes
from crossask.config.catalogue import SAMPLE_RATES_HZ

# Sample rate that VGGish and YAMNet read.
EVENT_RATE_HZ = 16000
# soxr's "very high quality": an error below -140 dB up to 0.91 of the lower half of the rates.
QUALITY = "VHQ"


def graph_rate(rate_hz: int, model_hz: int, accepted: Sequence[int] = SAMPLE_RATES_HZ) -> int:
    """Returns the rate at which a recording enters the graph of a model.

    It is the recording's own rate if the graph accepts it. Otherwise it is the model's own rate, or
    the next higher one that the graph accepts, and at least that of VGGish and YAMNet, which read
    the same waveform.

    Args:
      rate_hz: Sample rate of the recording in Hz.
      model_hz: Sample rate that the model reads in Hz: the higher one of the scene model's
        (`features.sample_rate_hz`) and the event model's.
      accepted: Rates that the graph accepts, in Hz.
    """
    if rate_hz in accepted:
        return rate_hz
    lowest = max(model_hz, EVENT_RATE_HZ)
    sufficient = [rate for rate in accepted if rate >= lowest]
    return min(sufficient, default=max(accepted))


def convert(waveform: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Returns a waveform [samples, channels] at another rate, as `convert_blocks`.

    A few samples that are less than one sample at the other rate become one sample.
    """
    if from_hz == to_hz:
        return waveform
    pieces = list(convert_blocks([waveform], from_hz, to_hz))
    return np.concatenate(pieces) if pieces else waveform[:1]


def convert_blocks(blocks: Iterable[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    """Converts a waveform to another rate piece by piece; if the rates are equal, it is unchanged.

    Output sample n is the signal at the time n / to_hz.

    Args:
      blocks: The waveform in pieces of any length, [samples, channels] each.
      from_hz: Its sample rate in Hz.
      to_hz: Sample rate of the output in Hz.

    Yields:
      Pieces of the waveform at `to_hz`, float32. Together they have
      round(samples * to_hz / from_hz) samples.
    """
    if from_hz == to_hz:
        yield from blocks
        return
    import soxr

    stream = None
    for block in blocks:
        if stream is None:
            stream = soxr.ResampleStream(from_hz, to_hz, block.shape[1], "float32", QUALITY)
        # soxr takes rows of samples that are contiguous in memory.
        piece = stream.resample_chunk(np.ascontiguousarray(block, np.float32))
        if len(piece):
            yield amplitudes.below_limit(piece)
    if stream is not None:
        empty = np.zeros((0, block.shape[1]), np.float32)
        piece = stream.resample_chunk(empty, last=True)
        if len(piece):
            yield amplitudes.below_limit(piece)


def to_graph_rate(waveform: np.ndarray, rate_hz: int, model_hz: int) -> tuple[np.ndarray, int]:
    """Returns a waveform [samples, channels] at a rate that the graph accepts, and that rate.

    Args:
      waveform: The waveform; it is unchanged if the graph accepts its rate.
      rate_hz: Its sample rate in Hz.
      model_hz: See `graph_rate`.
    """
    to_hz = graph_rate(rate_hz, model_hz)
    return convert(waveform, rate_hz, to_hz), to_hz

"""Cuts a recording of any length into windows, and fills short ones. Imports no TensorFlow."""

from collections.abc import Iterable, Iterator

import numpy as np

# Length of the shortest waveform that an exported model accepts. A model that was trained on
# shorter clips accepts their length.
LEAST_SECONDS = 1.0
# Largest number of windows that an exported model computes at a time, and that one call has.
# Its memory grows with this number.
BATCH_WINDOWS = 8


def sliding_windows(
    blocks: Iterable[np.ndarray], length: int, hop: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Cuts a stream of samples into overlapping windows of one length.

    Windows start `hop` samples apart. If samples remain after the last of them, one more window
    ends with the stream. A stream shorter than `length` is one window of its own length, and an
    empty stream has no window. Only one window and one block are in memory at a time.

    Args:
      blocks: The stream in pieces of any length, [samples, channels] each.
      length: Samples of a window.
      hop: Samples from the start of one window to the start of the next.

    Yields:
      Index of the window's first sample in the stream, and the window, [length, channels].
    """
    # The stream from the start of the latest window on.
    kept = None
    start = 0
    is_first = True
    for block in blocks:
        kept = block if kept is None else np.concatenate([kept, block])
        if is_first and len(kept) >= length:
            is_first = False
            yield start, kept[:length]
        while not is_first and len(kept) >= length + hop:
            kept = kept[hop:]
            start += hop
            yield start, kept[:length]
    if kept is None or len(kept) == 0:
        return
    if is_first:
        yield start, kept
    elif len(kept) > length:
        remaining = len(kept) - length
        yield start + remaining, kept[remaining:]


def fill_window(waveform: np.ndarray, length: int, most_silence: int) -> np.ndarray:
    """Fills a waveform that is shorter than a window.

    If little is missing, silence is added, as to the clips of the training data. Otherwise the
    waveform is repeated from its start: a network that read no long digital silence in training
    predicts worse with it (`benchmarks/short_sounds.py`). The served model does the same in its
    graph.

    Args:
      waveform: Waveform [samples] or [samples, channels], with at least one sample.
      length: Samples of a window.
      most_silence: Largest number of missing samples that are filled with silence.

    Returns:
      The waveform with `length` samples; a waveform that is long enough, as it is.
    """
    missing = length - len(waveform)
    if missing <= 0:
        return waveform
    if missing <= most_silence:
        channels_unpadded = [(0, 0)] * (waveform.ndim - 1)
        return np.pad(waveform, [(0, missing), *channels_unpadded])
    return waveform[np.arange(length) % len(waveform)]

"""Cutting a recording of any length into windows. Imports no TensorFlow."""

from collections.abc import Iterable, Iterator

import numpy as np


def sliding_windows(
    blocks: Iterable[np.ndarray], length: int, hop: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Cuts a stream of samples into overlapping windows of one length.

    Windows start `hop` samples apart. If samples remain after the last of them, one more window
    ends with the stream. A stream shorter than `length` is one window of its own length, and an
    empty stream has no window. Only one window and one block are in memory at
    a time.

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

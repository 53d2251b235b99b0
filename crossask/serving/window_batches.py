"""Cuts recordings into windows and computes their values, a few windows at a time, in the graph.

The memory of the graph therefore does not grow with the length of a recording, apart from the
recording itself and the values that are returned.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from crossask.audio import amplitudes
from crossask.audio.remarks import SILENCE_DBFS
from crossask.audio.windows import BATCH_WINDOWS


@dataclasses.dataclass(frozen=True)
class WindowGrid:
    """Where the windows of a recording are.

    Attributes:
      starts: First sample of each window [windows].
      length: Samples of a window, scalar.
      most_silence: Largest number of samples that are filled with silence, scalar; a recording
        that lacks more of a window is repeated.
    """

    starts: tf.Tensor
    length: tf.Tensor
    most_silence: tf.Tensor

    @property
    def count(self) -> tf.Tensor:
        """Number of windows of a recording."""
        return tf.size(self.starts)


def grid_of(samples: tf.Tensor, length: tf.Tensor, most_silence: tf.Tensor) -> WindowGrid:
    """Returns the windows of a recording: half a window apart, the last one ends with it.

    `crossask.audio.sliding_windows` cuts the same ones outside the graph, if its hop is half a
    window.

    Args:
      samples: Samples of the recording.
      length: See `WindowGrid`.
      most_silence: See `WindowGrid`.
    """
    hop = length // 2
    last_start = tf.maximum(0, samples - length)
    # The number of hops is rounded up, so that the last window ends with the recording.
    hops = -(-last_start // hop)
    starts = tf.minimum(tf.range(hops + 1) * hop, last_start)
    return WindowGrid(starts, length, most_silence)


def compute_windows(
    count: tf.Tensor,
    window_of: Callable[[tf.Tensor], tf.Tensor],
    compute: tf.types.experimental.PolymorphicFunction,
    sample_rate_hz: tf.Tensor,
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Computes the values of windows, BATCH_WINDOWS at a time.

    Args:
      count: Number of windows, at least 1.
      window_of: Returns the window [samples, channels] of a number from 0 to count - 1.
      compute: A tf.function with an input signature: windows [n, samples, channels] and their
        sample rate -> values by name, each [n, ...].
      sample_rate_hz: Sample rate of the windows.

    Returns:
      The values of all windows by name, each [count, ...], and whether the samples of each window
      are finite and below `amplitudes.LIMIT` in amplitude, [count].
    """
    specs = dict(compute.get_concrete_function().structured_outputs)
    batches = -(-count // BATCH_WINDOWS)
    values = {}
    for name, spec in specs.items():
        values[name] = _array(batches, spec.dtype, spec.shape)
    is_usable = _array(batches, tf.bool, tf.TensorShape([None]))

    def is_left(batch: tf.Tensor, *_: object) -> tf.Tensor:
        return batch < batches

    def add_batch(
        batch: tf.Tensor, values: dict[str, tf.TensorArray], is_usable: tf.TensorArray
    ) -> tuple:
        """Adds the values of one batch of windows; returns the next state of the loop."""
        first = batch * BATCH_WINDOWS
        numbers = tf.range(first, tf.minimum(first + BATCH_WINDOWS, count))
        windows = tf.map_fn(
            window_of,
            numbers,
            fn_output_signature=tf.TensorSpec([None, None], tf.float32),
            parallel_iterations=1,
        )  # [n, samples, channels]
        computed = compute(windows, sample_rate_hz)
        values = {name: array.write(batch, computed[name]) for name, array in values.items()}
        return batch + 1, values, is_usable.write(batch, are_usable(windows))

    # Parallel iterations would have several batches in memory at once.
    _, values, is_usable = tf.while_loop(
        is_left, add_batch, (tf.constant(0), values, is_usable), parallel_iterations=1
    )
    result = {}
    for name, spec in specs.items():
        result[name] = tf.ensure_shape(values[name].concat(), spec.shape)
    return result, is_usable.concat()


def fill_window(waveform: tf.Tensor, grid: WindowGrid) -> tf.Tensor:
    """Fills a waveform [samples, channels] as `crossask.audio.fill_window` does.

    Args:
      waveform: A window, or less if the recording is shorter than a window.
      grid: Length of a window, and the limit for silence.
    """
    samples = tf.shape(waveform)[0]
    missing = tf.maximum(0, grid.length - samples)

    def padded() -> tf.Tensor:
        return tf.pad(waveform, [[0, missing], [0, 0]])

    def repeated() -> tf.Tensor:
        # The graph may compute this before it reports that a waveform has no samples.
        numbers = tf.range(grid.length) % tf.maximum(1, samples)
        return tf.gather(waveform, numbers)

    return tf.cond(missing > grid.most_silence, repeated, padded)


def are_usable(windows: tf.Tensor) -> tf.Tensor:
    """Returns whether the samples of each window are amplitudes, [n]."""
    # The comparison is also false for NaN and for infinite samples.
    is_amplitude = tf.abs(windows) < amplitudes.LIMIT
    return tf.reduce_all(is_amplitude, axis=[1, 2])


def are_audible(windows: tf.Tensor) -> tf.Tensor:
    """Returns whether the level of each window is at least SILENCE_DBFS, [n].

    `crossask.audio.remarks.level_of` computes the same level outside the graph.
    """
    power = tf.reduce_mean(tf.math.reduce_variance(windows, axis=1), axis=1)
    return power >= 10 ** (SILENCE_DBFS / 10)


def _array(size: tf.Tensor, dtype: tf.DType, shape: tf.TensorShape) -> tf.TensorArray:
    """Returns an array of tensors that differ in their first dimension only."""
    return tf.TensorArray(dtype, size, element_shape=[None, *shape[1:]], infer_shape=False)

"""One polyphase resampler in the graph, for the feature cache and for the served model.

Another resampler would move VGGish's embeddings by more than their published tolerance, so there is
one, and its version is part of every cache key. Its filter is a Kaiser-windowed sinc of zero phase,
applied as matrix products over blocks of samples.
"""

import dataclasses
import functools
import math
import os

import numpy as np
import tensorflow as tf

from crossask.audio.rates import SAMPLE_RATES_HZ
from crossask.errors import AudioError

RESAMPLER_VERSION = "kaiser-80-12-0.952-blocks"

# Zero crossings of the sinc on either side, at the lower of the two rates.
ZERO_CROSSINGS = 80
# The stop band is below -115 dB.
KAISER_BETA = 12.0
# Cut-off frequency as a share of the lower Nyquist frequency.
ROLL_OFF = 0.952


def check_rate(sample_rate_hz: int, where: str | os.PathLike[str] = "the waveform") -> None:
    """Raises AudioError unless the sample rate is one of SAMPLE_RATES_HZ.

    Args:
      sample_rate_hz: Sample rate in Hz.
      where: What has this rate, for the error message.
    """
    if sample_rate_hz not in SAMPLE_RATES_HZ:
        raise AudioError(
            f"{where} has a sample rate of {sample_rate_hz} Hz.",
            f"Resample it to one of {_rates_text()} Hz.",
        )


def resample(waveform: tf.Tensor | np.ndarray, from_hz: int, to_hz: int) -> tf.Tensor:
    """Resamples a waveform. Output sample n is the signal at the time n / to_hz.

    Args:
      waveform: Waveform [..., samples].
      from_hz: Its sample rate in Hz.
      to_hz: Sample rate of the output in Hz.

    Returns:
      Waveform, float32 [..., ceil(samples * to_hz / from_hz)].

    Raises:
      AudioError: A rate is not one of SAMPLE_RATES_HZ.
    """
    check_rate(from_hz)
    check_rate(to_hz)
    waveform = tf.convert_to_tensor(waveform, tf.float32)
    if from_hz == to_hz:
        return waveform
    bank = _filter_bank(from_hz, to_hz)
    hop = bank.input_samples
    reach = bank.reach
    samples = tf.shape(waveform)[-1]
    wanted = _output_samples(samples, from_hz, to_hz)
    blocks = ceil_divide(wanted, bank.output_samples)
    # One block of silence is added before the waveform and at least one behind it.
    flat = tf.reshape(waveform, [-1, samples])
    behind = (blocks + 1) * hop - samples
    padded = tf.pad(flat, [[0, 0], [hop, behind]])
    grid = tf.reshape(padded, [-1, blocks + 2, hop])
    # The outputs of a block depend on the ends of the blocks on either side, too. Three products
    # avoid overlapping copies of the blocks.
    previous = grid[:, :-2, hop - reach :]
    output = tf.matmul(previous, tf.constant(bank.matrix[:reach]))
    current = grid[:, 1:-1]
    output += tf.matmul(current, tf.constant(bank.matrix[reach : reach + hop]))
    following = grid[:, 2:, :reach]
    output += tf.matmul(following, tf.constant(bank.matrix[reach + hop :]))
    output = tf.reshape(output, [-1, blocks * bank.output_samples])[:, :wanted]
    leading = tf.shape(waveform)[:-1]
    return tf.reshape(output, tf.concat([leading, [wanted]], 0))


def resample_from_any_rate(waveform: tf.Tensor, sample_rate_hz: tf.Tensor, to_hz: int) -> tf.Tensor:
    """Resamples as `resample`, from a rate that is known only when the graph runs.

    Args:
      waveform: Waveform [..., samples].
      sample_rate_hz: Its sample rate in Hz, scalar int32. If it is none of SAMPLE_RATES_HZ, the
        graph fails with a message that lists them.
      to_hz: Sample rate of the output in Hz.

    Returns:
      Waveform, float32 [..., ceil(samples * to_hz / sample_rate_hz)].
    """
    with tf.control_dependencies([rate_check(sample_rate_hz)]):
        branch = tf.argmax(_matches(sample_rate_hz), output_type=tf.int32)
    resamplers = [functools.partial(resample, waveform, rate, to_hz) for rate in SAMPLE_RATES_HZ]
    return tf.switch_case(branch, resamplers)


def rate_check(sample_rate_hz: tf.Tensor, *place: str | tf.Tensor) -> tf.Operation | None:
    """Returns an operation that fails unless a sample rate is one of SAMPLE_RATES_HZ.

    Args:
      sample_rate_hz: Sample rate in Hz, scalar int32.
      *place: What the message says about the place, after the rate.
    """
    message = f"sample_rate_hz must be one of {_rates_text()}"
    is_known = tf.reduce_any(_matches(sample_rate_hz))
    return tf.debugging.Assert(is_known, [message, sample_rate_hz, *place])


def ceil_divide(dividend: int | tf.Tensor, divisor: int) -> int | tf.Tensor:
    """Returns dividend / divisor, rounded up to an integer."""
    return -(-dividend // divisor)


@dataclasses.dataclass(frozen=True)
class _FilterBank:
    """The resampling of one block of samples as a matrix.

    Attributes:
      matrix: float32 [reach + input_samples + reach, output_samples]: from the samples of a block
        and the nearest samples of its neighbours to the block's outputs.
      input_samples: Input samples of a block.
      output_samples: Output samples of a block.
      reach: Input samples that the filter needs on either side.
    """

    matrix: np.ndarray
    input_samples: int
    output_samples: int
    reach: int


@functools.lru_cache
def _filter_bank(from_hz: int, to_hz: int) -> _FilterBank:
    """Returns the Kaiser-windowed sinc filters from one rate to another as a matrix."""
    divisor = math.gcd(from_hz, to_hz)
    # Share of the input's band that both rates can represent.
    band_share = min(1.0, to_hz / from_hz)
    # In units of the input's Nyquist frequency.
    cut_off = ROLL_OFF * band_share
    # Half the length of the filter, in input samples.
    half = ZERO_CROSSINGS / band_share
    reach = math.ceil(half)
    # A block is long enough that no filter reaches beyond the next block.
    repeat = ceil_divide(reach, from_hz // divisor)
    input_samples = from_hz // divisor * repeat
    output_samples = to_hz // divisor * repeat
    # Rows are inputs and columns are outputs; the time of both is in input samples.
    input_times = np.arange(reach + input_samples + reach)
    output_times = np.arange(output_samples) * from_hz / to_hz + reach
    distance = input_times[:, np.newaxis] - output_times
    # The Kaiser window, which is zero beyond half.
    parabola = np.maximum(0, 1 - (distance / half) ** 2)
    window = np.i0(KAISER_BETA * np.sqrt(parabola)) / np.i0(KAISER_BETA)
    matrix = cut_off * np.sinc(cut_off * distance) * window
    matrix[np.abs(distance) > half] = 0
    # A constant signal keeps its value, whatever the phase of the output sample.
    matrix /= matrix.sum(0)
    return _FilterBank(matrix.astype(np.float32), input_samples, output_samples, reach)


def _output_samples(samples: tf.Tensor, from_hz: int, to_hz: int) -> tf.Tensor:
    """Returns ceil(samples * to_hz / from_hz).

    The product itself does not fit into 32 bits for an hour at 96 kHz.
    """
    divisor = math.gcd(from_hz, to_hz)
    up = to_hz // divisor
    down = from_hz // divisor
    return samples // down * up + ceil_divide(samples % down * up, down)


def _matches(sample_rate_hz: tf.Tensor) -> tf.Tensor:
    """Returns which of SAMPLE_RATES_HZ equals the sample rate, [rates]."""
    return tf.equal(tf.constant(SAMPLE_RATES_HZ), sample_rate_hz)


def _rates_text() -> str:
    return ", ".join(map(str, SAMPLE_RATES_HZ))

"""One polyphase resampler in the graph, used by the feature cache and by the served model alike.

A change of resampler moves VGGish's embeddings by more than its published tolerance, so there is one, and its version is part
of every cache key. It is a Kaiser-windowed sinc, zero phase, applied as matrix products over blocks of samples.
"""

import functools
import math

import numpy as np
import tensorflow as tf

from crossask.errors import AudioError

SAMPLE_RATES_HZ = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000)
RESAMPLER_VERSION = "kaiser-80-12-0.952-blocks"
ZERO_CROSSINGS = 80  # on either side, at the lower of the two rates
KAISER_BETA = 12.0  # stop band below -115 dB
ROLL_OFF = 0.952  # cut-off, as a share of the lower Nyquist frequency


def check_rate(sample_rate_hz: int, where="the waveform"):
    """An AudioError that lists the rates, unless this is one of them."""
    if sample_rate_hz not in SAMPLE_RATES_HZ:
        rates = ", ".join(map(str, SAMPLE_RATES_HZ))
        raise AudioError(
            f"{where} has a sample rate of {sample_rate_hz} Hz.",
            f"Resample it to one of {rates} Hz.",
        )


def resample(waveform, from_hz: int, to_hz: int):
    """waveform [..., samples] at `to_hz`: [..., ceil(samples * to_hz / from_hz)], output sample n at time n / to_hz.

    Raises:
      AudioError: a rate that stands not in SAMPLE_RATES_HZ.
    """
    check_rate(from_hz)
    check_rate(to_hz)
    waveform = tf.convert_to_tensor(waveform, tf.float32)
    if from_hz == to_hz:
        return waveform
    matrix, hop, made, reach = _filter_bank(from_hz, to_hz)
    samples = tf.shape(waveform)[-1]
    divisor = math.gcd(from_hz, to_hz)
    up, down = to_hz // divisor, from_hz // divisor
    # ceil(samples * up / down) without leaving 32 bits: an hour at 96 kHz times 640 would
    wanted = samples // down * up + -(-(samples % down * up) // down)
    blocks = -(-wanted // made)
    flat = tf.pad(
        tf.reshape(waveform, [-1, samples]), [[0, 0], [hop, (blocks + 1) * hop - samples]]
    )
    grid = tf.reshape(flat, [-1, blocks + 2, hop])
    # a block's outputs reach into the blocks on either side: three products instead of overlapping copies
    output = tf.matmul(grid[:, :-2, hop - reach :], tf.constant(matrix[:reach]))
    output += tf.matmul(grid[:, 1:-1], tf.constant(matrix[reach : reach + hop]))
    output += tf.matmul(grid[:, 2:, :reach], tf.constant(matrix[reach + hop :]))
    output = tf.reshape(output, [-1, blocks * made])[:, :wanted]
    return tf.reshape(output, tf.concat([tf.shape(waveform)[:-1], [wanted]], 0))


def resample_any(waveform, sample_rate_hz, to_hz: int):
    """`resample` where the rate is a scalar int32 tensor; another rate fails when the graph runs, naming those known."""
    known = tf.constant(SAMPLE_RATES_HZ)
    matches = tf.equal(known, sample_rate_hz)
    message = f"sample_rate_hz must be one of {', '.join(map(str, SAMPLE_RATES_HZ))}"
    with tf.control_dependencies(
        [tf.debugging.Assert(tf.reduce_any(matches), [message, sample_rate_hz])]
    ):
        branch = tf.argmax(matches, output_type=tf.int32)
    return tf.switch_case(
        branch, [functools.partial(resample, waveform, rate, to_hz) for rate in SAMPLE_RATES_HZ]
    )


@functools.lru_cache
def _filter_bank(from_hz: int, to_hz: int) -> tuple[np.ndarray, int, int, int]:
    """(matrix [reach + hop + reach, made], hop: input samples of a block, made: its outputs, reach: of the filter, in samples)."""
    divisor = math.gcd(from_hz, to_hz)
    cut_off = ROLL_OFF * min(1.0, to_hz / from_hz)  # in units of the input's Nyquist frequency
    half = ZERO_CROSSINGS / min(1.0, to_hz / from_hz)  # in input samples
    reach = math.ceil(half)
    repeat = -(-reach // (from_hz // divisor))  # no filter reaches beyond the next block
    hop, made = from_hz // divisor * repeat, to_hz // divisor * repeat
    times = (
        np.arange(made) * from_hz / to_hz + reach
    )  # of the outputs, in samples from the first row
    distance = np.arange(reach + hop + reach)[:, np.newaxis] - times
    window = np.i0(KAISER_BETA * np.sqrt(np.maximum(0, 1 - (distance / half) ** 2))) / np.i0(
        KAISER_BETA
    )
    matrix = cut_off * np.sinc(cut_off * distance) * window * (np.abs(distance) <= half)
    matrix /= matrix.sum(0)  # a constant stays what it is, whatever the phase
    return matrix.astype(np.float32), hop, made, reach
